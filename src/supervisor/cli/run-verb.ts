/**
 * A verb of the command line, from the question to the exit code:
 *
 *   0  done
 *   1  the supervisor refused; nothing has changed
 *   2  nobody was asked: it does not run, or this user may not
 */
import { controlKeys, controlPath } from '../control/control-path.ts';
import type { Answer } from '../control/protocol.ts';
import { verbs, type Verb } from '../control/verbs.ts';
import { peekTexts } from '../../shared/config/peek.ts';
import { ask } from './control-client.ts';

export interface VerbCall {
  /** How the user called it. */
  readonly program: string;
  /** Its file, which finds the socket of a program without a configuration. */
  readonly main: string;
  readonly verb: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly conf: string | undefined;
  /** Path of the control socket, if it was named. */
  readonly control: string | undefined;
  readonly json: boolean;
}

export interface Output {
  readonly code: 0 | 1 | 2;
  readonly stdout: string;
  readonly stderr: string;
}

export async function runVerb(call: VerbCall): Promise<Output> {
  const verb = verbs.get(call.verb)!;
  let path: string;
  try {
    path = pathFor(call);
  } catch (thrown) {
    return unasked(call, (thrown as Error).message);
  }
  try {
    const { options, verb: name } = call;
    const answer = await ask({ path, verb: name, options, untilEnd: verb.untilEnd === true });
    return report(call, verb, answer);
  } catch (thrown) {
    return unasked(call, whyUnreachable(thrown as NodeJS.ErrnoException, path, call));
  }
}

function pathFor({ conf, control, main }: VerbCall): string {
  if (control !== undefined) return control;
  const settings = conf === undefined ? {} : peekTexts(conf, controlKeys, process.env);
  return controlPath(settings, conf ?? main, process.cwd()).path;
}

function whyUnreachable(
  { code, message }: NodeJS.ErrnoException,
  path: string,
  { conf, program }: VerbCall,
): string {
  switch (code) {
    case 'ENOENT':
    case 'ECONNREFUSED': {
      const start = conf === undefined ? program : `${program} -c ${conf}`;
      return (
        `not running: nobody listens on the control socket ${path}\n` +
        `Start it with: ${start}\n` +
        `If it runs with another configuration or as another user, name that with -c FILE, or its socket with --control PATH.`
      );
    }
    case 'EACCES':
    case 'EPERM':
      return `the control socket ${path} is not for this user: ask as root, or as whom it runs as`;
    default:
      return `no answer on the control socket ${path}: ${message}`;
  }
}

function report({ json, program }: VerbCall, { show }: Verb, answer: Answer): Output {
  if (json) {
    const told = answer.kind === 'done' ? (answer.data ?? answer) : answer;
    return {
      code: answer.kind === 'done' ? 0 : codeOf(answer),
      stdout: `${JSON.stringify(told, null, 2)}\n`,
      stderr: '',
    };
  }
  if (answer.kind !== 'done')
    return { code: codeOf(answer), stdout: '', stderr: `${program}: ${answer.reason}\n` };
  const text = answer.text ?? show?.(answer.data) ?? JSON.stringify(answer.data, null, 2);
  return { code: 0, stdout: `${text}\n`, stderr: '' };
}

function codeOf({ kind }: Answer): 1 | 2 {
  return kind === 'refused' ? 1 : 2;
}

function unasked({ program, json }: VerbCall, reason: string): Output {
  return {
    code: 2,
    stdout: json ? `${JSON.stringify({ kind: 'unreachable', reason }, null, 2)}\n` : '',
    stderr: json ? '' : `${program}: ${reason}\n`,
  };
}
