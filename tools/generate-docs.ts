/**
 * Writes `docs/reference` and pages of `docs/internals` from the tables that the code itself works with.
 *
 *     npm run docs               write the files
 *     npm run docs -- --check    write nothing; 1 and the names of stale files if there are any
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { format, type FormatConfig } from 'oxfmt';
import { configurationPage } from './docs/configuration.ts';
import { errorsPage } from './docs/errors.ts';
import { metricsPage } from './docs/metrics.ts';
import { phasesPage } from './docs/phases.ts';
import { upgradePage } from './docs/upgrade.ts';

const root = new URL('../', import.meta.url);

const pages = [
  { path: 'docs/reference/configuration.md', source: configurationPage },
  { path: 'docs/reference/errors.md', source: errorsPage },
  { path: 'docs/reference/metrics.md', source: metricsPage },
  { path: 'docs/reference/phases.md', source: phasesPage },
  { path: 'docs/internals/upgrade.md', source: upgradePage },
];

async function main(): Promise<number> {
  const { check } = parseArgs({ options: { check: { type: 'boolean' } } }).values;
  let stale = 0;
  for (const { path, source } of pages) {
    const file = fileURLToPath(new URL(path, root));
    const text = await formatted(path, await source());
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
    stale += 1;
    if (check === true) process.stderr.write(`${path} is stale: npm run docs\n`);
    else writeFileSync(file, text);
  }
  return check === true && stale > 0 ? 1 : 0;
}

/** As `npm run format` would leave it, or the two would undo each other's work. */
async function formatted(path: string, text: string): Promise<string> {
  const config = JSON.parse(readFileSync(new URL('.oxfmtrc.json', root), 'utf8')) as FormatConfig;
  const { code, errors } = await format(path, text, config);
  const [error] = errors;
  if (error !== undefined) throw new Error(`${path}: ${error.message}`);
  return code;
}

process.exitCode = await main();
