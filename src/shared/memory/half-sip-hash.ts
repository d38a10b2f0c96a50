/**
 * HalfSipHash-2-4 with 64 bits of output: a keyed hash for short keys that come
 * from clients. Who does not know the seed can neither choose keys that share a
 * row nor two that are taken for one, which murmur3 does not promise even with
 * a secret seed.
 *
 * Most keys are Latin-1, as everything of an HTTP head is: their bytes are
 * hashed, so the published test vectors hold. Other strings are hashed as
 * UTF-16 from another initial state, so that no two strings have the same input.
 */
export class HalfSipHash {
  /** Of the last key: the first 32 bits, signed. */
  first = 0;
  /** … and the others. */
  second = 0;
  readonly #k0: number;
  readonly #k1: number;

  constructor([k0, k1]: readonly [number, number]) {
    this.#k0 = k0;
    this.#k1 = k1;
  }

  /** Leaves its result in `first` and `second`: an object for each key would cost more than the hash. */
  update(key: string): void {
    if (!this.#digest(key, LATIN1)) this.#digest(key, UTF16);
  }

  /**
   * The round stands here twice, written out: as a function it would have to
   * return four numbers.
   *
   * @returns `false`: the key has characters that the encoding does not
   */
  #digest(key: string, { unitsPerWord, bitsPerUnit, mark }: Encoding): boolean {
    const { length } = key;
    let v0 = this.#k0;
    let v1 = this.#k1 ^ mark;
    let v2 = this.#k0 ^ 0x6c796765;
    let v3 = this.#k1 ^ 0x74656462;
    let seen = 0;
    let at = 0;
    for (let isLast = false; !isLast;) {
      isLast = length - at < unitsPerWord;
      const end = isLast ? length : at + unitsPerWord;
      let word = 0;
      for (let shift = 0; at < end; at++, shift += bitsPerUnit) {
        const unit = key.charCodeAt(at);
        seen |= unit;
        word |= unit << shift;
      }
      // The last word is what is left over, with the length in bytes above it.
      if (isLast) word |= ((length * bitsPerUnit) / 8) << 24;
      v3 ^= word;
      for (let round = 0; round < 2; round++) {
        v0 = (v0 + v1) | 0;
        v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
        v0 = (v0 << 16) | (v0 >>> 16);
        v2 = (v2 + v3) | 0;
        v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
        v0 = (v0 + v3) | 0;
        v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
        v2 = (v2 + v1) | 0;
        v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
        v2 = (v2 << 16) | (v2 >>> 16);
      }
      v0 ^= word;
    }
    if (seen >> bitsPerUnit !== 0) return false;
    v2 ^= 0xee;
    for (let round = 0; round < 8; round++) {
      if (round === 4) {
        this.first = v1 ^ v3;
        v1 ^= 0xdd;
      }
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    this.second = v1 ^ v3;
    return true;
  }
}

interface Encoding {
  readonly unitsPerWord: number;
  readonly bitsPerUnit: number;
  /** Of the initial state: 0xee stands for 64 bits of output, the rest for the encoding. */
  readonly mark: number;
}

const LATIN1: Encoding = { unitsPerWord: 4, bitsPerUnit: 8, mark: 0xee };
const UTF16: Encoding = { unitsPerWord: 2, bitsPerUnit: 16, mark: 0xffee };
