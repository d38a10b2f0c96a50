/** An example as its reader runs it: its program, and the curl lines of its README. */
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkCurls, type StandIns } from './readme.ts';
import { launch, type LogLine, type Running, type StartOptions } from './sluice.ts';

const EXAMPLES = fileURLToPath(new URL('../../examples/', import.meta.url));

export interface Example {
  readonly running: Running;
  /** Ports of its listeners, in the order in which it adds them. */
  readonly ports: readonly number[];
  /** Resolves with the first log line whose text matches. */
  says(pattern: RegExp): Promise<LogLine>;
  /**
   * Runs every curl line of the README, and checks what its comment promises.
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
  const standIns: StandIns = [
    ...usualPorts.map((usual, at) => [`:${usual}`, `:${ports[at]}`] as const),
    ...Object.entries(origins).map(([usual, real]) => [`:${usual}`, `:${real}`] as const),
  ];
  return {
    running,
    ports,
    says: (pattern) => running.logged(({ msg }) => pattern.test(msg ?? '')),
    keepsItsPromises: (cwd) => checkCurls(name, standIns, cwd),
  };
}
