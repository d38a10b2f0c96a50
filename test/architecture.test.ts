/**
 * Who may import whom. `stacks` is the architecture: a change to it is a
 * decision, and belongs in `docs/adr` with its reasons.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, test } from 'node:test';

/**
 * Bottom layer first. A file imports from its own area and from the layers
 * below; neighbours within a layer do not know each other.
 */
const stacks = {
  supervisor: [
    ['shared'],
    ['supervisor', 'prove'], // `prove` runs Sluice as its child, and knows no part of it
    ['server'],
    ['index.ts'],
  ],
  worker: [
    ['shared'],
    ['worker/http'],
    ['worker/protocol', 'worker/transport'],
    ['worker/tls'], // makes transports of transport's sockets, for both sides
    [
      'worker/upstream',
      'worker/downstream',
      'worker/router',
      'worker/limits',
      'worker/observe',
      'worker/tasks',
    ],
    ['worker/discovery'], // knows what an address of a peer is
    ['worker/balance'], // hands out peers of `upstream`
    ['worker/health', 'worker/proxy'],
    ['worker/filters'],
    ['worker'], // start.ts: it puts the parts together
    ['server'], // and this puts both processes together for programs
    ['index.ts'],
  ],
};

/** Each package is known to one place, so that replacing it is a change of one place. */
const owners: Readonly<Record<string, string>> = {
  koffi: 'src/shared/memory/libc.ts',
  pino: 'src/shared/log/',
  'sonic-boom': 'src/', // pino's destination, and the access log's
  yaml: 'src/shared/config/',
  zod: 'src/shared/config/',
  'prom-client': 'src/shared/metrics/page.ts',
};

describe('architecture', () => {
  test('every import points down the stack', () => {
    const violations: string[] = [];
    for (const file of sources('src')) {
      for (const target of importsOf(file)) {
        if (!mayImport(areaOf(file), areaOf(target))) violations.push(`${file} imports ${target}`);
      }
    }
    assert.deepEqual(violations, []);
  });

  test('no import goes round in a circle', () => {
    const files = sources('src');
    const graph = new Map(files.map((file) => [file, importsOf(file)]));
    assert.deepEqual(
      files.flatMap((file) => circleThrough(file, graph) ?? []),
      [],
    );
  });

  test('each package has one owner, and every import of one is allowed', () => {
    const violations: string[] = [];
    for (const file of sources('src')) {
      for (const name of packagesOf(file)) {
        const owner = owners[name];
        if (owner === undefined || !file.startsWith(owner))
          violations.push(`${file} imports ${name}`);
      }
    }
    assert.deepEqual(violations, []);
  });

  test('there is something to check', () => {
    assert.ok(sources('src').length > 40);
    assert.ok(sources('src').some((file) => importsOf(file).length > 5));
  });
});

function mayImport(from: string, to: string): boolean {
  const stack = from.startsWith('worker') ? stacks.worker : stacks.supervisor;
  // The server and the public API stand above both sides.
  if (from === 'server' || from === 'index.ts') return to !== 'index.ts' || from === to;
  const layerOf = (area: string) => stack.findIndex((layer) => layer.includes(area));
  return from === to || (layerOf(to) >= 0 && layerOf(to) < layerOf(from));
}

/** `src/worker/cache/storage/disk.ts` → `worker/cache`; `src/shared/…` → `shared`. */
function areaOf(file: string): string {
  const [side = '', ...path] = relative('src', file).split('/');
  return side === 'worker' && path.length > 1 ? `worker/${path[0]}` : side;
}

function sources(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => join(root, name));
}

/** The project files that a file imports or re-exports, types included. */
function importsOf(file: string): string[] {
  return specifiersOf(file)
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => join(dirname(file), specifier));
}

function packagesOf(file: string): string[] {
  return specifiersOf(file).filter(
    (specifier) => !specifier.startsWith('.') && !specifier.startsWith('node:'),
  );
}

function specifiersOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const statics = text.matchAll(/\b(?:from|import) '([^']+)'/g);
  const dynamics = text.matchAll(/\bimport\('([^']+)'\)/g);
  return [...statics, ...dynamics].map(([, specifier = '']) => specifier);
}

/** Types only may go round: they are gone when the program runs. Values may not. */
function circleThrough(start: string, graph: ReadonlyMap<string, string[]>): string[] | undefined {
  const seen = new Set<string>();
  const walk = (file: string, path: string[]): string[] | undefined => {
    for (const next of graph.get(file) ?? []) {
      if (!isValueImport(file, next)) continue;
      if (next === start) return [...path, next];
      if (seen.has(next)) continue;
      seen.add(next);
      const found = walk(next, [...path, next]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return walk(start, [start]);
}

function isValueImport(file: string, target: string): boolean {
  const imports = readFileSync(file, 'utf8').matchAll(
    /^(import|export) (type )?[^;]*?from '([^']+)';/gm,
  );
  return [...imports].some(
    ([, , typeOnly, specifier = '']) =>
      typeOnly === undefined && join(dirname(file), specifier) === target,
  );
}
