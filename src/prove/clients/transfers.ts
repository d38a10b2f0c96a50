/** A long download and a slow upload, again and again; each is whole, or lost. */
import { setTimeout as wait } from 'node:timers/promises';
import { targetOf } from '../addresses.ts';
import { contentOf } from '../content.ts';
import type { Account } from '../ledger.ts';
import type { Connection } from '../wire/connection.ts';
import { ask, expectBody, onConnections, requestHead, type Scene } from './scene.ts';

const DOWNLOAD_BYTES = 4 * 1024 * 1024;
const UPLOAD_BYTES = 256 * 1024;
const PIECE_MS = 25;

const PAUSE_MS = 50;

export function runDownloads(scene: Scene, account: Account): Promise<void> {
  return onConnections(scene, account, PAUSE_MS, async (endpoint, connection) => {
    const name = { run: scene.run, client: account.client, number: account.nextNumber() };
    const query = `?bytes=${DOWNLOAD_BYTES}&ms=${scene.streamMs}`;
    const target = targetOf(name, 'download', query);
    const bytes = requestHead({ endpoint, method: 'GET', target });
    const expectation = expectBody(name, DOWNLOAD_BYTES);
    await ask(scene, connection, { account, bytes, expectation });
    connection.close();
  });
}

export function runUploads(scene: Scene, account: Account): Promise<void> {
  return onConnections(scene, account, PAUSE_MS, async (endpoint, connection) => {
    const name = { run: scene.run, client: account.client, number: account.nextNumber() };
    const bytes = requestHead({
      endpoint,
      method: 'POST',
      target: targetOf(name, 'upload', `?bytes=${UPLOAD_BYTES}`),
      fields: { 'content-length': UPLOAD_BYTES },
    });
    const answer = ask(scene, connection, { account, bytes, expectation: expectBody(name, 0) });
    await sendSlowly(connection, name.number, scene.streamMs);
    await answer;
    connection.close();
  });
}

async function sendSlowly(connection: Connection, seed: number, ms: number): Promise<void> {
  const pieces = Math.max(1, Math.round(ms / PIECE_MS));
  for (let piece = 0; piece < pieces && connection.isOpen; piece++) {
    const from = Math.floor((UPLOAD_BYTES * piece) / pieces);
    const to = Math.floor((UPLOAD_BYTES * (piece + 1)) / pieces);
    connection.write(contentOf(seed, from, to - from));
    await wait(PIECE_MS);
  }
}
