/** Which processes there are, as Linux tells it under `/proc`. */
import { readdirSync, readFileSync } from 'node:fs';

export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
}

/** Without those that have ended and that nobody has buried. */
export function processesWhere(fits: (process: Process) => boolean): Process[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => livingProcess(Number(name)) ?? [])
    .filter(fits);
}

function livingProcess(pid: number): Process | undefined {
  const [state, parent, , session] = fieldsOf(pid) ?? ['Z'];
  if (state === 'Z' || state === 'X') return undefined;
  return { pid, parent: Number(parent), session: Number(session) };
}

/** Of `proc(5)`, from the third on: the name of the program, in parentheses, may hold anything. */
function fieldsOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return undefined; // ended meanwhile
  }
}
