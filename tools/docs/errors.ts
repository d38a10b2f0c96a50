/** `docs/reference/errors.md`: the error catalog as tables. */
import { catalog, type ErrorCode, type ErrorFacts } from '../../src/shared/errors/catalog.ts';
import { code, generatedFrom, table } from './markdown.ts';

const sides: Readonly<Record<ErrorFacts['side'], string>> = {
  downstream: 'The client, or the way to it.',
  upstream: 'The peer, or the way to it.',
  internal: 'The program’s own phases, or Sluice.',
};

const INTRODUCTION = `
Every way a request can fail has a code. It is the \`code\` of a \`ProxyError\`, stands in the process
log and in the access log, and is the label \`code\` of \`sluice_errors_total\`
([metrics](metrics.md)).

Unless \`failToProxy\` chooses another answer, the client gets the status in words and the request id; never
the detail: that is in the log, under the same id. Once a response head has gone out, failing can only mean closing the connection. A status of
“none” means that nobody was left to read one.

Whether the request is sent again, to whichever peer \`upstreamPeer\` then chooses (for a configured
upstream: another one, if another may be used):

- **safe**: yes, the peer has not seen the request;
- **if idempotent**: only if the method allows it (RFC 9110 §9.2.2), because the peer may have seen it;
- **never**.

A phase may say otherwise ([phases](phases.md)), and \`retry.statuses\` of a service has requests sent again
after a response; neither sends a request that a peer may have seen again unless its method is idempotent.

Sending again ends after \`max_retries\` attempts in all, and where the body can no longer be sent from
its beginning ([configuration](configuration.md)).
`;

export function errorsPage(): string {
  const sections = Object.entries(sides).map(([side, whose]) => {
    const rows = Object.entries(catalog as Record<ErrorCode, ErrorFacts>)
      .filter(([, facts]) => facts.side === side)
      .map(([name, { status, retry, means, remedy }]) => [
        code(name),
        status === 0 ? 'none' : String(status),
        retry.replace('-', ' '),
        means,
        remedy,
      ]);
    const head = ['Code', 'Status', 'Sent again', 'What happened', 'Look at'];
    return `## ${side}\n\n${whose}\n\n${table(head, rows)}`;
  });
  return [
    generatedFrom('src/shared/errors/catalog.ts'),
    '# Errors',
    INTRODUCTION,
    ...sections,
  ].join('\n\n');
}
