/** The line without which a figure means nothing: what it was measured on, and of which sources. */
import { execFileSync } from 'node:child_process';
import { availableParallelism, cpus, release, type } from 'node:os';
import { fileURLToPath } from 'node:url';

/** `AMD EPYC, 2 cores; Linux 6.18.5; Node.js 26.10.0; commit 1a2b3c4 with changes` */
export function machineLine(): string {
  const cpu = cpus()[0]?.model.trim() ?? 'unknown CPU';
  return [
    `${cpu}, ${availableParallelism()} cores`,
    `${type()} ${release()}`,
    `Node.js ${process.versions.node}`,
    commit(),
  ].join('; ');
}

function commit(): string {
  try {
    const changes = git('status', '--porcelain', '--', 'src', 'bin', 'bench');
    return `commit ${git('rev-parse', '--short', 'HEAD')}${changes === '' ? '' : ' with changes'}`;
  } catch {
    return 'commit unknown';
  }
}

function git(...args: string[]): string {
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  return execFileSync('git', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
}
