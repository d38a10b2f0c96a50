/** The lines of an example's README, and what they promise. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** In place of addresses and folders that a reader has and a test has not. */
export type StandIns = readonly (readonly [usual: string, real: string])[];

interface Line {
  readonly command: string;
  /** Behind it. */
  readonly comment: string;
}

/**
 * Runs every curl line of the README, one after the other, and checks what its comment promises:
 * statuses, as `200` or `20 × 200`, and what stands in backquotes.
 *
 * @param cwd where the files are that the lines name
 */
export async function checkCurls(name: string, standIns: StandIns, cwd = ROOT): Promise<void> {
  const curls = linesOf(name).filter(isCurl);
  assert.notEqual(curls.length, 0, `the README of ${name} has no line of curl`);
  for (const line of curls) await checkCurl(line, standIns, { cwd });
}

/** Runs every line of the README but those that start origins; what is no curl has to succeed. */
export async function playReadme(
  name: string,
  standIns: StandIns,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  let exports = '';
  for (const line of linesOf(name)) {
    if (line.command.startsWith('npm run')) continue;
    if (isCurl(line)) await checkCurl(line, standIns, { cwd: ROOT });
    else if (line.command.startsWith('export ')) exports += `${line.command}; `;
    else {
      const command = stoodIn(exports + line.command, standIns);
      const { failure } = await run(command, { cwd: ROOT, env: { ...process.env, ...env } });
      assert.equal(failure, undefined, line.command);
    }
  }
}

function linesOf(name: string): Line[] {
  const readme = readFileSync(`${ROOT}examples/${name}/README.md`, 'utf8');
  const fences = [...readme.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, content = '']) => content);
  return fences
    .flatMap((content) => content.trimEnd().split('\n'))
    .map((line) => {
      const [command = '', comment = ''] = line.split(/ +# /);
      return { command, comment };
    });
}

function isCurl({ command }: Line): boolean {
  return command.startsWith('curl ');
}

async function checkCurl(
  { command, comment }: Line,
  standIns: StandIns,
  options: RunOptions,
): Promise<void> {
  const { output } = await run(stoodIn(command, standIns), options);
  const quoted = [...comment.matchAll(/`([^`]+)`/g)].map(([, text = '']) => text);
  assert.deepEqual(
    statusesIn(output),
    statusesPromised(comment.replaceAll(/`[^`]+`/g, '')),
    command,
  );
  for (const text of quoted.map((each) => stoodIn(each, standIns))) {
    assert.ok(output.toLowerCase().includes(text.toLowerCase()), `${command}: ${text}`);
  }
}

function stoodIn(text: string, standIns: StandIns): string {
  return standIns.reduce((all, [usual, real]) => all.replaceAll(usual, real), text);
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

interface RunOptions {
  readonly cwd: string;
  readonly env?: NodeJS.ProcessEnv;
}

/** `npx node` is the Node that runs the test. A command that fails has printed what there was all the same. */
function run(command: string, options: RunOptions) {
  const ours = command.replaceAll('npx node', process.execPath);
  return new Promise<{ output: string; failure: string | undefined }>((resolve) => {
    execFile('bash', ['-c', ours], options, (error, output, told) =>
      resolve({ output, failure: error === null ? undefined : `${output}${told}` }),
    );
  });
}
