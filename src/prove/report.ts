/** What came out of it: for people, and for programs. */
import type { Gap } from './gaps.ts';
import type { Intervention } from './interventions.ts';
import type { Columns, Incident } from './ledger.ts';

export interface Result {
  /** Why not everything was done that was asked for. */
  readonly failure: string | undefined;
  readonly done: Readonly<Record<Intervention, number>>;
  readonly seconds: number;
  readonly columns: readonly Columns[];
  /** Of new connections, by the intervention that came last. */
  readonly gaps: ReadonlyMap<string, Gap>;
  readonly incidents: readonly Incident[];
}

/** Not among these: what a killed worker took with it, and what took longer than it may. */
const LOSSES = ['failed', 'refused', 'reset', 'repeated', 'unasked', 'broken'] as const;

export function isLossless({ columns }: Result): boolean {
  return columns.every((row) => LOSSES.every((column) => row[column] === 0));
}

const COUNTS = ['sent', 'answered', ...LOSSES, 'killed', 'outlived'] as const;

export function asJson(result: Result): string {
  const { done, failure, seconds, columns, gaps, incidents } = result;
  const total = Object.fromEntries(COUNTS.map((column) => [column, sum(columns, column)]));
  return JSON.stringify(
    {
      lossless: isLossless(result),
      failure,
      upgrades: done.upgrade,
      reloads: done.reload,
      kills: done.kill,
      seconds,
      total,
      clients: columns,
      newConnections: { longestGapMs: Object.fromEntries(gaps) },
      incidents,
    },
    (_key, value: unknown) =>
      typeof value === 'number' && !Number.isInteger(value) ? Number(value.toFixed(2)) : value,
    2,
  );
}

export function asText(result: Result): string {
  const { done, seconds, columns, gaps, incidents } = result;
  const heading = ['', ...COUNTS.map((column) => HEADINGS[column] ?? column), 'longest'];
  const rows = columns.map((row) => [
    row.client,
    ...COUNTS.map((column) => String(row[column])),
    milliseconds(row.longestMs),
  ]);
  const total = ['all', ...COUNTS.map((column) => String(sum(columns, column))), ''];
  return [
    `${many(done.upgrade, 'upgrade')}, ${many(done.reload, 'reload')}, ${many(done.kill, 'kill')} in ${seconds.toFixed(1)} s`,
    '',
    ...aligned([heading, ...rows, total]),
    '',
    ...gapLines(gaps),
    ...incidents.map(
      ({ atMs, client, what, last }) =>
        `${(atMs / 1000).toFixed(3)} s, after ${last}: ${client}: ${what}`,
    ),
    verdict(result),
    '',
  ].join('\n');
}

/** Where the column's name alone would not be understood. */
const HEADINGS: Readonly<Record<string, string>> = {
  broken: 'streams broken',
  killed: 'with a killed worker',
  outlived: 'outlived grace',
};

function gapLines(gaps: ReadonlyMap<string, Gap>): string[] {
  const lines = [...gaps].map(
    ([during, { longestMs, stalledMs }]) =>
      `  after ${during}: ${milliseconds(longestMs)}, in which these clients themselves stood still for ${milliseconds(stalledMs)}`,
  );
  return lines.length === 0 ? [] : ['longest gap in new connections', ...lines, ''];
}

function verdict(result: Result): string {
  const { failure } = result;
  return failure === undefined ? lossesIn(result) : `${lossesIn(result)}\nNOT done: ${failure}`;
}

function lossesIn(result: Result): string {
  if (isLossless(result)) return 'Nothing was lost.';
  const found = LOSSES.map((column) => [column, sum(result.columns, column)] as const)
    .filter(([, count]) => count > 0)
    .map(([column, count]) => `${count} ${HEADINGS[column] ?? column}`);
  return `NOT lossless: ${found.join(', ')}.`;
}

function sum(columns: readonly Columns[], column: (typeof COUNTS)[number]): number {
  return columns.reduce((total, row) => total + row[column], 0);
}

function milliseconds(ms: number): string {
  return `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;
}

function many(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** Names to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
