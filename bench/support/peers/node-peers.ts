/**
 * The Node.js proxies of `tools/bench-peers`, where their programs and their
 * packages are. One process each; they write no access log and keep no metrics.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { freePort, launch, type ServerKind, type StartOptions } from './server.ts';

const workspace = new URL('../../../tools/bench-peers/', import.meta.url);

export const httpProxy = nodePeer('http-proxy', 'http-proxy', 'http-proxy.ts');
export const fastify = nodePeer('fastify', '@fastify/http-proxy', 'fastify.ts');

function nodePeer(name: string, packageName: string, program: string): ServerKind {
  return {
    name,
    missing: () =>
      manifestOf(packageName) === undefined ? `${packageName} is not installed` : undefined,
    version: () => versionIn(manifestOf(packageName)),
    async start({ origin, cores, folder }: StartOptions) {
      const port = await freePort();
      return launch({
        name,
        command: process.execPath,
        args: [fileURLToPath(new URL(program, workspace)), String(port), origin],
        port,
        cores,
        folder,
        stopSignal: 'SIGTERM',
        env: { NODE_ENV: 'production' },
      });
    },
  };
}

/** Path of its package.json; `undefined` where it is not installed. */
function manifestOf(packageName: string): string | undefined {
  try {
    return createRequire(workspace).resolve(`${packageName}/package.json`);
  } catch {
    return undefined;
  }
}

function versionIn(manifest: string | undefined): string {
  if (manifest === undefined) return '';
  return (JSON.parse(readFileSync(manifest, 'utf8')) as { version: string }).version;
}
