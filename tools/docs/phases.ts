/** `docs/reference/phases.md`: the comments of the interface `Phases`, in the order in which phases run. */
import { readFileSync } from 'node:fs';
import { code, generatedFrom } from './markdown.ts';

const SOURCE = 'src/worker/proxy/proxy-http.ts';

const INTRODUCTION = `
A proxy is an object with phases: functions that Sluice calls at certain points in the life of a request
([how it all goes together](../internals/life-of-a-request.md)). Only \`upstreamPeer\` is required. A phase that
is not there costs nothing, and one that returns no promise is not waited for.

They stand here in the order in which they run. Every phase but the first two gets the session, in which
\`ctx\` is the value that \`newCtx\` made for this request.

**Throwing.** A \`ProxyError\` fails the request with that [error](errors.md). Anything else becomes
\`internal/filter-threw\`: a 500 and a log line that names the phase. Either way the request goes on with
\`failToProxy\`, as long as nothing has been sent to the client, and the worker lives.

**Waiting.** A phase that returns a promise has 30 seconds, or what \`timeouts.phase\`, \`phaseTimeoutMs\` of the
service or \`session.setTimeouts\` say. Then the request fails with \`internal/phase-timeout\`, a 504 and a log
line that names the phase. While it reads the client's body, the client's own bounds count instead.
`;

export interface PhaseEntry {
  readonly name: string;
  /** As in the code, in one line. */
  readonly signature: string;
  readonly comment: string;
}

export function phasesPage(): string {
  const sections = phaseEntries().map(
    ({ name, signature, comment }) => `## ${name}\n\n\`\`\`ts\n${signature}\n\`\`\`\n\n${comment}`,
  );
  const names = phaseEntries().map(({ name }) => `[${code(name)}](#${name.toLowerCase()})`);
  return [generatedFrom(SOURCE), '# Phases', INTRODUCTION, names.join(' → '), ...sections].join(
    '\n\n',
  );
}

const MEMBER =
  /^ {2}\/\*\*\n(?<comment>(?: {3}\*.*\n)+?) {3}\*\/\n {2}(?<name>\w+)(?<rest>\??\([^]*?);\n/gm;

/** @throws {Error} the interface is not where, or not what, it should be */
export function phaseEntries(): PhaseEntry[] {
  const text = readFileSync(new URL(`../../${SOURCE}`, import.meta.url), 'utf8');
  const [, body] = /^export interface Phases<Ctx> \{\n([^]*?)^\}/m.exec(text) ?? [];
  if (body === undefined) throw new Error(`${SOURCE}: expected an interface Phases<Ctx>`);
  const entries = [...body.matchAll(MEMBER)].map(({ groups }) => {
    const { comment = '', name = '', rest = '' } = groups ?? {};
    return {
      name,
      signature: `${name}${rest}`
        .replaceAll(/\s+/g, ' ')
        .replaceAll('( ', '(')
        .replaceAll(', )', ')'),
      comment: comment.replaceAll(/^ {3}\* ?/gm, '').trim(),
    };
  });
  const members = body.match(/^ {2}\w+\??\(/gm) ?? [];
  if (entries.length !== members.length) {
    throw new Error(`${SOURCE}: expected a comment for each of ${members.length} phases`);
  }
  return entries;
}
