/**
 * Tries a new configuration out: a process of the same program reads it, builds
 * everything that a worker would, accepts nothing, says what it has found, and
 * ends. Whatever it does to itself meanwhile, this process and its workers go on.
 */
import { closeSync } from 'node:fs';
import { writeCheckBoot, writeEmptyFile } from '../../shared/ipc/boot.ts';
import { readVerdict, type CheckVerdict } from '../../shared/ipc/check.ts';
import { forkProgram } from '../workers/program.ts';

const TIMEOUT_MS = 30_000;

/** @param version of this Sluice: workers of another one would not understand it */
export async function checkProgram(version: string, stop: AbortSignal): Promise<CheckVerdict> {
  const bootFd = writeCheckBoot();
  const verdictFd = writeEmptyFile();
  try {
    const ended = await runChecker([bootFd, verdictFd], stop);
    const verdict = readVerdict(verdictFd) ?? refused(ended);
    if (verdict.kind === 'refused' || verdict.version === version) return verdict;
    return refused(
      `Sluice ${verdict.version} was installed since the start of this process, which is ${version}; run: sluice upgrade`,
    );
  } finally {
    closeSync(bootFd);
    closeSync(verdictFd);
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
    checker.on('error', (error) => {
      how ??= `the configuration cannot be checked: ${error.message}`;
    });
    checker.on('exit', (code, signal) => {
      clearTimeout(timer);
      stop.removeEventListener('abort', kill);
      const end = signal ?? `exit code ${code}`;
      resolve(
        how ??
          `the program ended while its configuration was checked (${end}); its standard error may say why`,
      );
    });
  });
}

function refused(reason: string): CheckVerdict {
  return { kind: 'refused', reason };
}
