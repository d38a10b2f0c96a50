/**
 * What does a rate limit cost, and does it admit exactly what it says?
 *
 * Baseline: nginx's `limit_req` for what a refusal costs; otherwise the goal that
 * stands beside each figure. Costs are CPU time, but the caches belong to
 * everybody: they need an idle machine of 2 cores. Exactness holds on a busy one, too.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { machineLine } from '../support/machine.ts';
import { asUsageFailure, wholeNumber } from '../support/options.ts';
import { coresOfOthers, readUsage } from '../support/others.ts';
import { requireCores, requireProgram } from '../support/pin.ts';
import { table } from '../support/table.ts';
import { checkCosts, memory, sharedKey } from './limits/checks.ts';
import type { Finding } from './limits/finding.ts';
import { bursts, paced, refusals, type ServerRun } from './limits/servers.ts';

export const usage =
  '--seconds 3 --repetitions 5 --paced 60   length of a run, runs, and length of the one at three times the rate';

/** @returns exit code: 1 if a goal was missed */
export async function run(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { paced: pacedSeconds, ...lengths } = optionsFrom(args);
  requireCores(2);
  requireProgram('wrk', 'wrk');
  using started = new DisposableStack();
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'));
  started.defer(() => rmSync(folder, { recursive: true, force: true }));
  process.stdout.write(`${machineLine()}\n`);
  const before = readUsage();
  const findings: Finding[] = [];
  for await (const finding of measure({ ...lengths, folder, signal }, pacedSeconds)) {
    findings.push(finding);
    if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${finding.what}`);
  }
  const rows = findings.map(({ what, goal, figure, isMet }) => [
    what,
    goal,
    figure,
    isMet ? 'met' : 'missed',
  ]);
  process.stdout.write(table([['', 'goal', 'figure', ''], ...rows]));
  const others = coresOfOthers(before, readUsage());
  process.stdout.write(`Other processes used ${others.toFixed(2)} cores meanwhile.\n`);
  return findings.every(({ isMet }) => isMet) ? 0 : 1;
}

async function* measure(run: ServerRun, pacedSeconds: number): AsyncGenerator<Finding> {
  yield* checkCosts(run.repetitions, run.signal);
  yield* sharedKey(run.repetitions, run.signal);
  yield memory();
  yield await refusals(run);
  yield await bursts(run);
  yield await paced(run, pacedSeconds);
}

function optionsFrom(args: readonly string[]) {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: 'string', default: '3' },
        repetitions: { type: 'string', default: '5' },
        paced: { type: 'string', default: '60' },
      },
    });
    return {
      seconds: wholeNumber('seconds', values.seconds, 1, 60),
      repetitions: wholeNumber('repetitions', values.repetitions, 1, 50),
      paced: wholeNumber('paced', values.paced, 1, 600),
    };
  } catch (thrown) {
    throw asUsageFailure(thrown);
  }
}
