/** `docs/internals/upgrade.md`: the hand-off, with the tables of states that the code works with. */
import { MAX_DESCRIPTORS, MAX_MESSAGE_BYTES } from '../../src/supervisor/handoff/frames.ts';
import { HANDOFF_VERSION } from '../../src/supervisor/handoff/messages.ts';
import { REPLY_MS } from '../../src/supervisor/handoff/predecessor.ts';
import {
  failures,
  predecessorStates,
  predecessorTable,
  successorStates,
  successorTable,
  type Step,
} from '../../src/supervisor/handoff/states.ts';
import { code, generatedFrom, table } from './markdown.ts';

const TEXT = `
How a supervisor hands everything over to its successor. Neither needs to have started the other, and they
may come from different releases. What an operator does is in [production](../guide/production.md); what to do
when nothing happened, in [the upgrade did not happen](../guide/upgrade-did-not-happen.md).

The rule behind all of it: **the process that serves decides last**. It accepts until the successor has said
that all its workers accept and that the pid file is its own. Until then every failure, of either side, leaves
the old process as it was, because it never did anything else but serve
([record 15](../adr/0015-the-process-that-serves-decides-last.md)).

\`\`\`text
  cli (-u)            successor makes the upgrade socket, or gets a connection from who starts it
    │
  SIGQUIT, verb ────► predecessor: handoff/give.ts, predecessor.ts
                          │  offer, batches with descriptors        handoff/channel.ts, frames.ts
                          ▼
                      successor: handoff/succeed.ts, successor.ts
                          │  inheritance
                          ▼
                      start.ts: adopts sockets and segments, opens what is new, forks workers
                          │  ready, owner
                          ▼
                      predecessor: Lifecycle drains it
\`\`\`

## Where they meet

- **\`-u\` and SIGQUIT**: the successor makes \`upgrade_sock\`, with mode 0600, owned by \`user\` if there is one,
  and waits. The predecessor connects, and looks for the socket until it is there. The name may hold a socket of
  root's or of our user's and nothing else: no symbolic link, no other file. Its folder may not be one where
  everybody can replace it. One that a dead successor left is replaced; one where a successor waits is not.
- **\`sluice upgrade\`**: the predecessor starts the successor with the command that started itself, in the folder
  where it was started, looked up anew, and connects the two beforehand (\`socketpair\`). No path is needed.

Both ask the kernel who the other is (SO_PEERCRED). The successor listens to root, to its own user and to the \`user\`
of its configuration; the predecessor gives to root and to its own user. Who else connects is turned away, and the
successor waits on.

## On the wire

A frame is \`SLHO\`, the length of the message, the number of descriptors that come with it (32 bits each, big-endian),
and the message, JSON in UTF-8. A message has at most ${MAX_MESSAGE_BYTES} bytes and ${MAX_DESCRIPTORS} descriptors, passed
with SCM_RIGHTS and closed on exec; more go in further batches, each of which is acknowledged. Anything else ends the
hand-off, and every descriptor that came is closed. No call waits: the sockets are asked again and again while a hand-off
runs, since Node's own would read bytes away from the descriptors that are attached to them.

| | predecessor says | successor says | |
| --- | --- | --- | --- |
| 1 | \`offer\` | | who it is: protocol versions, release, pid, configuration, systemd service, number of descriptors |
| 2 | | \`accept\` | the version that both speak from now on, release, pid. It has looked at its limit on open files and at the service before |
| 3 | \`batch\` | | its number, whether it is the last, and for each descriptor what it is: a socket with its address, or a segment with name, layout, size and contents |
| 4 | | \`received\` | the number of the batch. 3 and 4 are repeated |
| 5 | | \`ready\` | all its workers accept; the addresses it goes on with, and how many sockets of each |
| 6 | \`take-over\` | | |
| 7 | | \`owner\` | the pid file names it |
| 8 | \`bye\` | | the predecessor drains |

Instead of any message the predecessor can say \`withdraw\` and the successor \`refuse\`, each with a reason for the other's log.
A connection that ends without such a word means that the other side died. Every answer has ${REPLY_MS / 1000} s, but for
\`accept\` of a successor that was started just now and \`ready\`: both have \`upgrade.ready\`.

This is version ${HANDOFF_VERSION}. \`offer\`, \`accept\`, \`refuse\` and \`withdraw\` keep their form for ever, so that releases that
cannot hand over to each other can say so. Fields and kinds of descriptors that a release does not know it passes over.

## The one that serves

`;

const BETWEEN = `
## The one that comes

`;

const REST = `
When the predecessor dies before all is handed over, the successor gives up: it does not know what it lacks. The workers
of a supervisor that has died serve for another 30 s, and those that do not serve yet end with it; systemd's store of descriptors lets a new start go on with their
sockets at once, elsewhere it finds the addresses taken until then. When it dies after everything is handed over, the successor
goes on alone.

A successor whose workers have accepted connections when it gives up lets them finish what they have.

## What goes over

- **Listening sockets**, one per address and worker slot, with what is queued in them. The successor finds them by the address as its
  configuration writes it. It opens what is new; what it has no use for it closes, and the predecessor's workers serve what
  is queued there before they close it too.
- **The control socket and the admin page**, so that nobody who asks meets a closed door: the predecessor answers until it
  drains, and from then on the successor.
- **Segments**: the tables of limits, of health, of figures. One with the same name, layout, size and contents is
  used as it is, hash seeds included; another one is filled from the old as far as both mean the same.
- **Rows**: who writes which row of a table stands in the table itself; a successor takes free ones, and each supervisor adds
  up those of its own workers when they end.
- Not the configuration, certificates and keys: the successor has read its own.

Then the old workers accept no more. The next answer on a connection that is kept says \`connection: close\`; an idle one stays
for \`workers.drain_idle\`, so that no request meets its end; requests have \`grace_period_seconds\`.
`;

/** Written by hand, after a run of `sluice prove-upgrade`. */
const MEASURED = `## What was measured

On a machine with nothing else to do (2 cores, Node.js 26.10.0), \`sluice prove-upgrade --upgrades 60 --reloads 60 --kills 10\`
at commit c8d343d took 160 s. Of 35,061 requests 35,048 were answered and 13 went with the killed workers that had them; none
failed, was refused, reset or repeated, and no stream broke. The longest gaps in new connections were 145 ms after an
upgrade, 202 ms after a reload and 50 ms after a kill, in which the clients themselves, on the same two cores as
everything they start, stood still for 141, 186 and 34 ms.

\`sluice prove-upgrade --upgrades 1000 --reloads 1000 --kills 50\` at commit bbfd457, on a virtual machine with 2 cores and
Node.js 26.10.0 that other programs shared, took 2,184 s:

| client                | sent    | answered | failed | refused | reset | repeated | streams broken | with a killed worker | outlived grace |
| --------------------- | ------- | -------- | ------ | ------- | ----- | -------- | -------------- | -------------------- | -------------- |
| keep their connection | 141,445 | 141,383  | 0      | 0       | 0     | 0        | 0              | 62                   | 0              |
| new connections       | 199,518 | 199,518  | 0      | 0       | 0     | 0        | 0              | 0                    | 0              |
| bursts of ten         | 107,070 | 107,064  | 0      | 0       | 0     | 0        | 0              | 6                    | 0              |
| downloads             | 1,986   | 1,981    | 0      | 0       | 0     | 0        | 0              | 3                    | 2              |
| uploads               | 1,948   | 1,942    | 0      | 0       | 0     | 0        | 0              | 3                    | 3              |
| WebSockets            | 744     | 743      | 0      | 0       | 0     | 0        | 0              | 1                    | 0              |
| streams of events     | 744     | 744      | 0      | 0       | 0     | 0        | 0              | 0                    | 0              |
| all                   | 453,455 | 453,375  | 0      | 0       | 0     | 0        | 0              | 75                   | 5              |

Nothing was lost. The 75 were under way in the 50 workers that were killed, which is the price of a kill. The five that
outlived the grace period are transfers of one second that took longer than the two seconds of grace, on a machine that had no
time for them. The longest gaps in new connections were 710 ms after an upgrade, 800 ms after a reload and 59 ms
after a kill, in which the clients stood still for at least 502, 800 and 53 ms: on such a machine they say
nothing about Sluice.
`;

export function upgradePage(): string {
  return [
    '# Upgrades',
    '',
    generatedFrom('`src/supervisor/handoff` and `tools/docs/upgrade.ts`'),
    TEXT,
    meaningsOf(predecessorStates),
    '',
    stepsOf(predecessorTable),
    BETWEEN,
    meaningsOf(successorStates),
    '',
    stepsOf(successorTable),
    '',
    '## What can go wrong',
    '',
    meaningsOf(failures),
    REST,
    MEASURED,
  ].join('\n');
}

function meaningsOf(meanings: Readonly<Record<string, string>>): string {
  return Object.entries(meanings)
    .map(([name, meaning]) => `- ${code(name)}: ${meaning}`)
    .join('\n');
}

/** Events that lead to the same step share a row. */
function stepsOf(
  states: Readonly<Record<string, Readonly<Record<string, Step<string, string>>>>>,
): string {
  const rows = Object.entries(states).flatMap(([from, steps]) => {
    const bySteps = Map.groupBy(Object.entries(steps), ([, { to, action }]) => `${action} ${to}`);
    return [...bySteps.values()].map((same) => {
      const [, { to, action }] = same[0]!;
      return [code(from), same.map(([event]) => code(event)).join(', '), code(action), code(to)];
    });
  });
  return table(['while', 'comes', 'so it does', 'and is'], rows);
}
