/** The `sluice` command on a Node that keeps its inside to itself. */
import { runGateway } from '../../../../src/server/run-gateway.ts';

Object.defineProperty(process, 'binding', { value: undefined });
await runGateway();
