/** An example as its reader runs it: its program, and the curl lines of its README. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { launch, type LogLine, type Running, type StartOptions } from './sluice.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

export interface Example {
  readonly running: Running;
  /** Ports of its listeners, in the order in which it adds them. */
  readonly ports: readonly number[];
  /** Resolves with the first log line whose text matches. */
  says(pattern: RegExp): Promise<LogLine>;
  /**
   * Runs every curl line of the README, one after the other, and checks what its comment promises:
   * statuses, as `200` or `20 × 200`, and what stands in backquotes.
   *
   * @param cwd where the files are that the lines name
   */
  keepsItsPromises(cwd?: string): Promise<void>;
}

export interface ExampleOptions extends StartOptions {
  readonly args?: readonly string[];
  /** Of the listeners, in their order, as the README has them. Default: 6188. */
  readonly usualPorts?: readonly number[];
  /** Of origins: the port that the README has, and the real one. */
  readonly origins?: Readonly<Record<number, number>>;
}

/** Starts `examples/NAME/main.ts` with what the environment says about addresses. */
export async function startExample(
  t: TestContext,
  name: string,
  { args = [], usualPorts = [6188], origins = {}, ...options }: ExampleOptions,
): Promise<Example> {
  const program = `${EXAMPLES}${name}/main.ts`;
  const env = { LISTEN: '127.0.0.1:0', ...options.env };
  const running = launch(t, ['--threads', '1', ...args], { ...options, program, env });
  const { addresses } = await running.logged(({ msg }) => msg === 'serving');
  const ports = (addresses as { port: number }[]).map(({ port }) => port);
  const withRealPorts = (text: string) => {
    const ofListeners = usualPorts.map((port, at) => [port, ports[at]] as const);
    const pairs = [...ofListeners, ...Object.entries(origins)];
    return pairs.reduce((all, [usual, real]) => all.replaceAll(`:${usual}`, `:${real}`), text);
  };
  return {
    running,
    ports,
    says: (pattern) => running.logged(({ msg }) => pattern.test(msg ?? '')),
    async keepsItsPromises(cwd) {
      const promises = promisesOf(name);
      assert.notEqual(promises.length, 0, `the README of ${name} has no line of curl`);
      for (const { command, statuses, texts } of promises) {
        const output = await run(withRealPorts(command), cwd);
        assert.deepEqual(statusesIn(output), statuses, command);
        for (const text of texts.map(withRealPorts)) {
          assert.ok(output.toLowerCase().includes(text.toLowerCase()), `${command}: ${text}`);
        }
      }
    },
  };
}

interface Promised {
  readonly command: string;
  readonly statuses: readonly string[];
  readonly texts: readonly string[];
}

function promisesOf(name: string): Promised[] {
  const readme = readFileSync(`${EXAMPLES}${name}/README.md`, 'utf8');
  const fences = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, content = '']) => content);
  const lines = fences.flatMap((content) => content.split('\n'));
  return lines
    .filter((line) => line.startsWith('curl '))
    .map((line) => {
      const [command = '', comment = ''] = line.split(/ +# /);
      const quoted = [...comment.matchAll(/`([^`]+)`/g)];
      return {
        command,
        statuses: statusesPromised(comment.replaceAll(/`[^`]+`/g, '')),
        texts: quoted.map(([, text = '']) => text),
      };
    });
}

function statusesPromised(comment: string): string[] {
  return [...comment.matchAll(/(?:(\d+) × )?\b(\d{3})\b/g)].flatMap(
    ([, count = '1', status = '']) => Array.from({ length: Number(count) }, () => status),
  );
}

/** From status lines; without those, from `-w '%{http_code}\n'`. */
function statusesIn(output: string): string[] {
  const heads = [...output.matchAll(/^HTTP\/[\d.]+ (\d{3})\b/gm)];
  const found = heads.length > 0 ? heads : [...output.matchAll(/^(\d{3})$/gm)];
  return found.map(([, status = '']) => status);
}

/** A curl that fails has printed what there was all the same. */
function run(command: string, cwd: string | undefined): Promise<string> {
  return new Promise((resolve) => {
    execFile('bash', ['-c', command], { cwd }, (_error, stdout) => resolve(stdout));
  });
}
