/** The origin behind the proxies: the same small answer to everything, as cheap as this machine can give it. */
import { fileURLToPath } from 'node:url';
import { nginx, startNginxOrigin } from './nginx.ts';
import { freePort, launch, type RunningServer } from './server.ts';

export interface Origin extends RunningServer {
  /** What it is, for the notes under the table. */
  readonly description: string;
}

/** nginx, or Node.js where that is missing: then the origin limits the throughput, not the CPU figures. */
export async function startOrigin(text: string, core: number, folder: string): Promise<Origin> {
  if (nginx.missing() === undefined) {
    const description = `nginx ${nginx.version()}`;
    return { ...(await startNginxOrigin(text, core, folder)), description };
  }
  const port = await freePort();
  const program = fileURLToPath(new URL('./node-origin.ts', import.meta.url));
  const server = await launch({
    name: 'origin',
    command: process.execPath,
    args: [program, String(port), text],
    port,
    core,
    folder,
    stopSignal: 'SIGTERM',
  });
  return { ...server, description: 'Node.js, because nginx is not installed' };
}
