/** Runs `sluice prove-upgrade` and believes only its figures. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { launch } from './sluice.ts';

export interface Proof {
  readonly lossless: boolean;
  readonly upgrades: number;
  readonly reloads: number;
  readonly kills: number;
  readonly total: Readonly<Record<string, number>>;
  readonly clients: readonly { readonly client: string; readonly sent: number }[];
}

const LOSSES = ['failed', 'refused', 'reset', 'repeated', 'unasked', 'broken'];

/** A file of tests has two minutes. */
const AT_MOST_SECONDS = 20;

/**
 * @param args how many of what; the others are 0 if they are not named
 * @param kind of which at least two must have been done
 */
export async function proveLossless(
  t: TestContext,
  args: readonly string[],
  kind: 'upgrades' | 'reloads' | 'kills',
): Promise<void> {
  const counts = ['upgrades', 'reloads', 'kills'].filter((name) => !args.includes(`--${name}`));
  const none = counts.flatMap((name) => [`--${name}`, '0']);
  const bounds = ['--at-most', String(AT_MOST_SECONDS), '--json'];
  const all = ['prove-upgrade', ...none, ...args, ...bounds];
  const { code, stdout, stderr } = await launch(t, all).ended;

  assert.equal(code, 0, stdout + stderr);
  const proof = JSON.parse(stdout) as Proof;
  const { lossless, total, clients } = proof;
  for (const column of LOSSES) assert.equal(total[column], 0, column);
  assert.ok(lossless);
  assert.equal(total['sent'], total['answered']! + total['killed']! + total['outlived']!);
  for (const { client, sent } of clients) assert.ok(sent > 0, `${client} sent nothing`);
  assert.ok(proof[kind] >= 2, `${proof[kind]} ${kind} were done`);
}
