/** What a peer may change the protocol to (RFC 9110 §7.8): nothing that the client did not name. */
import { Malformed } from '../protocol/malformed.ts';

/**
 * @param asked the `Upgrade` of the request; `undefined`: it had none
 * @param agreed the one of the 101
 * @throws {Malformed} the peer changes to something that was not asked for
 */
export function checkUpgrade(asked: string | undefined, agreed: string | undefined): void {
  if (asked === undefined) throw new Malformed('expected no 101, as no upgrade was asked for');
  const offered = protocols(asked);
  if (agreed !== undefined && protocols(agreed).every((each) => offered.includes(each))) return;
  throw new Malformed(
    `expected Upgrade to be ${JSON.stringify(asked)}, got ${JSON.stringify(agreed)}`,
  );
}

/** The elements of an Upgrade field. */
function protocols(upgrade: string): string[] {
  return upgrade.split(',').map((protocol) => protocol.trim().toLowerCase());
}
