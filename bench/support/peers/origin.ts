/** The origin behind the proxies: always the same answers, as cheap as this machine can give them. */
import { mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nginx, startNginxOrigin, type OriginOptions } from './nginx.ts';
import { freePort, launch, type RunningServer } from './server.ts';

export interface Origin extends RunningServer {
  /** What it is, for the notes under the table. */
  readonly description: string;
}

/** Body of its answer to all that is not for a file. */
export const SMALL_TEXT = 'x'.repeat(100);

/** `/files/NAME` is that many bytes. */
export const files = { '1m': 1_048_576, '200m': 209_715_200 } as const;

/** nginx, or Node.js where that is missing: then the origin limits the throughput, not the CPU figures. */
export async function startOrigin(core: number, folder: string): Promise<Origin> {
  createFiles(join(folder, 'files'));
  const options = { text: SMALL_TEXT, core, folder };
  if (nginx.missing() !== undefined) return startNodeOrigin(options);
  return { ...(await startNginxOrigin(options)), description: `nginx ${nginx.version()}` };
}

/** They are holes: read like any other file, and no disk has to hold them. */
function createFiles(folder: string): void {
  mkdirSync(folder);
  for (const [name, bytes] of Object.entries(files)) {
    writeFileSync(join(folder, name), '');
    truncateSync(join(folder, name), bytes);
  }
}

async function startNodeOrigin({ text, core, folder }: OriginOptions): Promise<Origin> {
  const port = await freePort();
  const program = fileURLToPath(new URL('./node-origin.ts', import.meta.url));
  const server = await launch({
    name: 'origin',
    command: process.execPath,
    args: [program, String(port), text, folder],
    port,
    cores: [core],
    folder,
    stopSignal: 'SIGTERM',
  });
  return { ...server, description: 'Node.js, because nginx is not installed' };
}
