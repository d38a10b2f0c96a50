/** As many reloads as fit into the time, ten of them on a machine that is not busy. */
import { test } from 'node:test';
import { proveLossless } from '../../support/prove.ts';

test('six reloads lose nothing', (t) => proveLossless(t, ['--reloads', '6'], 'reloads'));

test('reloads with more workers, and with fewer, lose nothing', (t) =>
  proveLossless(t, ['--reloads', '4', '--resize'], 'reloads'));
