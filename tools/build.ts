/**
 * `npm run build`: what the package contains, made from the sources. Runs before
 * `npm pack` and `npm publish`.
 */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';

rmSync('dist', { recursive: true, force: true });
const { status, error } = spawnSync('tsc', ['--project', 'tsconfig.build.json'], {
  stdio: 'inherit',
});
if (error !== undefined) process.stderr.write(`cannot run tsc: ${error.message}\n`);
process.exitCode = status ?? 1;
