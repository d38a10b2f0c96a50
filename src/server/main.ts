/** Entry of the `sluice` command. */
import { runGateway } from './run-gateway.ts';

const [node = '', program = '', verb, ...rest] = process.argv;
if (verb === 'prove-upgrade') {
  // A program of its own, which runs this one: nobody else has to load it.
  const { proveUpgrade } = await import('../prove/main.ts');
  process.exit(await proveUpgrade(rest, [node, ...process.execArgv, program]));
}
await runGateway();
