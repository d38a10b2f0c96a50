/** The `sluice` command with a clock that stands still, so that no request is earned back meanwhile. */
import { runGateway } from '../../../src/server/run-gateway.ts';

await runGateway({ clock: () => 1e15 });
