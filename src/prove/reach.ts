/** Before the traffic: one request through each address, since a proof that measures something else is none. */
import { PREFIX, targetOf } from './addresses.ts';
import { expectBody, requestHead } from './clients/scene.ts';
import { ProveFailure } from './failure.ts';
import { Loss } from './loss.ts';
import { Connection, type Endpoint } from './wire/connection.ts';
import { Connections } from './wire/connections.ts';

const PATIENCE_MS = 5_000;

/** As the origin knows these requests; they are nobody's, and appear in no account. */
export const REACH_CLIENT = 'reach';

export interface Way {
  readonly run: string;
  /** `host:port` */
  readonly origin: string;
}

/** @throws {ProveFailure} the origin is not reached through all of them */
export async function checkReach(endpoints: readonly Endpoint[], way: Way): Promise<void> {
  for (const [number, endpoint] of endpoints.entries()) await checkOne(endpoint, number, way);
}

async function checkOne(endpoint: Endpoint, number: number, { run, origin }: Way): Promise<void> {
  const name = { run, client: REACH_CLIENT, number };
  const target = targetOf(name, 'echo', '?bytes=0');
  try {
    const connection = await Connection.open(endpoint, {
      connections: new Connections(),
      patienceMs: PATIENCE_MS,
      onUnasked: () => {},
    });
    const answer = connection.expect(expectBody(name, 0));
    connection.write(requestHead({ endpoint, method: 'GET', target }));
    await answer.finally(() => connection.destroy());
  } catch (thrown) {
    if (!(thrown instanceof Loss)) throw thrown;
    if (thrown.kind === 'refused') {
      throw new ProveFailure(
        `nobody listens on ${endpoint.host}:${endpoint.port}: does Sluice run, and from this configuration?`,
        { cause: thrown },
      );
    }
    throw new ProveFailure(
      `a request to ${endpoint.host}:${endpoint.port} does not reach the origin of the proof (${thrown.kind}: ${thrown.message}); ` +
        `the first route of its service must be { match: { path: ${PREFIX}/* }, upstream: … } with the one peer ${origin}`,
      { cause: thrown },
    );
  }
}
