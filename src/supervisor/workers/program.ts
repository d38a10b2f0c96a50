/**
 * The program that is forked: the file that this process was started from, by its
 * real path. A link that a deployment turns to a new release changes nothing for
 * the workers of this supervisor.
 */
import cluster, { type Worker as Process } from 'node:cluster';
import { realpathSync } from 'node:fs';
import process from 'node:process';

/** Where relative paths of the command line begin. */
const startedIn = process.cwd();
const file = realPath(process.argv[1]!);

export interface ForkOptions {
  /** Descriptors that it inherits, from number 4 on. */
  readonly inherit: readonly number[];
  /** In the folder where this process was started, and not where it is now. */
  readonly whereStarted?: boolean;
}

export function forkProgram({ inherit, whereStarted = false }: ForkOptions): Process {
  // Workers accept by themselves: passing each connection through here costs 60 µs.
  cluster.schedulingPolicy = cluster.SCHED_NONE;
  cluster.setupPrimary({
    exec: file,
    cwd: whereStarted ? startedIn : process.cwd(),
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...inherit],
  });
  return cluster.fork();
}

/** Node takes a main module without its extension, which is no path of a file. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
