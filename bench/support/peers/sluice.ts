/** Sluice from the sources of this checkout, with one worker, its access log in a file and its metrics on. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, launch, type ServerKind, type StartOptions } from './server.ts';

const root = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url));

export const sluice: ServerKind = {
  name: 'sluice',
  missing: () => undefined,
  version: () =>
    (JSON.parse(readFileSync(root('package.json'), 'utf8')) as { version: string }).version,
  async start({ origin, core, folder }: StartOptions) {
    const port = await freePort();
    const accessLog = join(folder, 'access.log');
    const conf = join(folder, 'conf.yaml');
    writeFileSync(conf, configuration(port, origin, accessLog));
    return launch({
      name: 'sluice',
      command: process.execPath,
      args: ['--conditions=sluice-source', root('bin/sluice.js'), '-c', conf],
      port,
      core,
      folder,
      stopSignal: 'SIGINT',
      accessLog,
    });
  },
};

function configuration(port: number, origin: string, accessLog: string): string {
  return `
version: 1
threads: 1
admin: { listen: 127.0.0.1:0 }
access_log: ${JSON.stringify(accessLog)}
upstreams:
  origin: { peers: ["${origin}"] }
services:
  - name: edge
    listen: ["127.0.0.1:${port}"]
    routes: [{ upstream: origin }]
`;
}
