/** Clients that ask without a pause and never ask twice: what they lose is lost. */
import { Agent } from 'node:http';
import type { TestContext } from 'node:test';
import { get } from './sluice.ts';

export interface Losses {
  readonly answered: number;
  /** Answers with another status than 200. */
  readonly wrong: number;
  readonly refused: number;
  readonly cut: number;
}

export interface Traffic {
  /** Resolves once that many more were answered. */
  answered(more: number): Promise<void>;
  stop(): Promise<Losses>;
}

/** Half of the clients connect for every request, half keep their connection. */
export function startTraffic(t: TestContext, port: number, clients = 4): Traffic {
  const count = { answered: 0, wrong: 0, refused: 0, cut: 0 };
  const waiting = new Set<() => void>();
  let isRunning = true;
  const ask = async (agent: Agent) => {
    while (isRunning) {
      await get(port, '/', { agent }).then(
        ({ status }) => {
          if (status === 200) count.answered += 1;
          else count.wrong += 1;
        },
        ({ code }: NodeJS.ErrnoException) => {
          if (code === 'ECONNREFUSED') count.refused += 1;
          else count.cut += 1;
        },
      );
      for (const look of waiting) look();
    }
    agent.destroy();
  };
  const running = Array.from({ length: clients }, (_, at) =>
    ask(new Agent({ keepAlive: at % 2 === 0, maxSockets: 1 })),
  );
  const stop = async () => {
    isRunning = false;
    await Promise.all(running);
    return { ...count };
  };
  t.after(stop);
  return {
    answered(more) {
      const enough = count.answered + more;
      return new Promise((resolve) => {
        const look = () => {
          if (count.answered < enough) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
    },
    stop,
  };
}
