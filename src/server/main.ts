/** Entry of the `sluice` command. */
import { runGateway } from './run-gateway.ts';

await runGateway();
