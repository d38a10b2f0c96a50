/**
 * Tries a new configuration out: a process of the same program reads it, builds
 * everything that a worker would, accepts nothing, says what it has found, and
 * ends. Whatever it does to itself meanwhile, this process and its workers go on.
 */
import { closeSync } from 'node:fs';
import { writeCheckBoot, writeEmptyFile } from '../../shared/ipc/boot.ts';
import type { Libc } from '../../shared/memory/libc.ts';
import { readVerdict, type CheckVerdict } from '../../shared/ipc/check.ts';
import { forkProgram } from '../workers/program.ts';

const TIMEOUT_MS = 30_000;

/** @param version of this Sluice: workers of another one would not understand it */
export async function checkProgram(
  version: string,
  libc: Libc | undefined,
  stop: AbortSignal,
): Promise<CheckVerdict> {
  const files: number[] = [];
  try {
    const bootFd = writeCheckBoot(libc);
    files.push(bootFd);
    const verdictFd = writeEmptyFile(libc);
    files.push(verdictFd);
    const ended = await runChecker([bootFd, verdictFd], stop);
    const verdict = readVerdict(verdictFd) ?? refused(ended);
    if (verdict.kind === 'refused' || verdict.version === version) return verdict;
    return refused(
      `Sluice ${verdict.version} was installed since the start of this process, which is ${version}; run: sluice upgrade`,
    );
  } finally {
    files.forEach((fd) => closeSync(fd));
  }
}

/** @returns how it ended, in case it has said nothing */
function runChecker(inherit: readonly number[], stop: AbortSignal): Promise<string> {
  const checker = forkProgram({ inherit, whereStarted: true });
  const kill = () => void checker.process.kill('SIGKILL');
  let how: string | undefined;
  const timer = setTimeout(() => {
    how = `the configuration was not checked within ${TIMEOUT_MS} ms: the program did not come to its server's run()`;
    kill();
  }, TIMEOUT_MS);
  stop.addEventListener('abort', kill);
  if (stop.aborted) kill();
  return new Promise((resolve) => {
    const settle = (end: string) => {
      clearTimeout(timer);
      stop.removeEventListener('abort', kill);
      resolve(how ?? end);
    };
    checker.on('error', (error) => {
      how ??= `the configuration cannot be checked: ${error.message}`;
      // It was never started, so no exit follows.
      if (checker.process.pid === undefined) settle(how);
    });
    checker.on('exit', (code, signal) =>
      settle(
        `the program ended while its configuration was checked (${signal ?? `exit code ${code}`}); its standard error may say why`,
      ),
    );
  });
}

function refused(reason: string): CheckVerdict {
  return { kind: 'refused', reason };
}
