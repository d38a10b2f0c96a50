/** The `sluice` command with a clock that stands still: what a limit admits then depends on nothing else. */
import { runGateway } from '../../../../src/server/run-gateway.ts';

await runGateway({ clock: () => 1e15 });
