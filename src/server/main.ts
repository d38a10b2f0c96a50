/** Entry of the `sluice` command. */
import { runGateway } from './run-gateway.ts';

const [node = '', program = '', verb, ...rest] = process.argv;
if (verb === 'prove-upgrade') {
  // A program of its own, which runs this one: nobody else has to load it.
  const { proveUpgrade } = await import('../prove/main.ts');
  const leave = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => leave.abort());
  const command = [node, ...process.execArgv, program];
  process.exit(await proveUpgrade(rest, command, leave.signal));
}
await runGateway();
