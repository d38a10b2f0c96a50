/**
 * `npm test`: type check, lint, then every test, the most basic ones first, so
 * that the first failure is the one to look at.
 *
 *     npm test                        everything
 *     npm test -- test/behaviour      only what is below that folder, without checks
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDERS = [
  'test/architecture.test.ts',
  'test/unit',
  'test/docs',
  'test/behaviour',
  'test/faults',
];

/** Enough for the slowest file on a busy machine; a test that hangs must not hang everything. */
const FILE_TIMEOUT_MS = 120_000;

function main(): number {
  const wanted = process.argv.slice(2);
  if (wanted.length === 0) {
    const failed = [
      ['tsc', '--noEmit'],
      ['npm', 'run', '--silent', 'lint'],
    ].find((command) => run(command) !== 0);
    if (failed !== undefined) return 1;
  }
  const files = (wanted.length === 0 ? FOLDERS : wanted).flatMap(testFiles);
  if (files.length === 0) {
    process.stderr.write(`no test files under ${wanted.join(' ')}\n`);
    return 1;
  }
  const options = [
    '--conditions=sluice-source',
    '--test',
    '--test-concurrency=2',
    `--test-timeout=${FILE_TIMEOUT_MS}`,
    '--test-reporter=spec',
  ];
  return run([process.execPath, ...options, ...files]);
}

/** Hundreds of processes load the same modules: stripping and compiling them once takes half off their start. */
const COMPILE_CACHE = fileURLToPath(new URL('../node_modules/.cache/compiled', import.meta.url));

function testFiles(path: string): string[] {
  return path.endsWith('.test.ts') ? [path] : globSync(`${path}/**/*.test.ts`).sort();
}

function run([command = '', ...args]: string[]): number {
  const env = { ...process.env, NODE_COMPILE_CACHE: COMPILE_CACHE };
  const { status, error } = spawnSync(command, args, { stdio: 'inherit', env });
  if (error !== undefined) process.stderr.write(`cannot run ${command}: ${error.message}\n`);
  return status ?? 1;
}

process.exitCode = main();
