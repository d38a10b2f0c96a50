/** Main module of the process that does the proof, in a session of its own; see `main.ts`. */
import { ProveFailure } from './failure.ts';
import type { Options } from './options.ts';
import { prove } from './proof.ts';
import { asJson, asText, isLossless } from './report.ts';

/** Its argument, as JSON. */
export interface SessionCall {
  readonly options: Options;
  /** Runs `sluice`, without arguments. */
  readonly command: readonly string[];
}

const { options, command } = JSON.parse(process.argv[2]!) as SessionCall;
const leave = new AbortController();
for (const event of ['SIGTERM', 'disconnect'] as const) process.on(event, () => leave.abort());
// Nobody says it again if it was over before we listened.
if (!process.connected) leave.abort();
process.exit(await run());

async function run(): Promise<number> {
  try {
    const result = await prove(options, command, leave.signal);
    process.stdout.write(options.json ? `${asJson(result)}\n` : asText(result));
    return isLossless(result) && result.failure === undefined ? 0 : 1;
  } catch (thrown) {
    if (!(thrown instanceof ProveFailure)) throw thrown;
    process.stderr.write(`sluice prove-upgrade: ${thrown.message}\n`);
    return 1;
  }
}
