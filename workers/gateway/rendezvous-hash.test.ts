import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { rankByRendezvous } from './rendezvous-hash.ts';

const nodes = fc.uniqueArray(fc.webUrl(), { minLength: 2, maxLength: 8 });
const rank = (urls: readonly string[], key: string) => rankByRendezvous(urls, { key, nameOf: (url) => url });

test('the order depends on the key and the nodes, not on how they are listed', () => {
  fc.assert(
    fc.property(nodes, fc.string(), (urls, key) => {
      expect(rank([...urls].reverse(), key)).toEqual(rank(urls, key));
    }),
  );
});

test('a node that leaves moves only its own keys', () => {
  fc.assert(
    fc.property(nodes, fc.string(), fc.nat(), (urls, key, index) => {
      const leaving = urls[index % urls.length];
      const rest = urls.filter((url) => url !== leaving);
      expect(rank(rest, key)).toEqual(rank(urls, key).filter((url) => url !== leaving));
    }),
  );
});

test('keys spread evenly over nodes whose names differ only in the last character', () => {
  const urls = ['http://10.0.0.1:8790', 'http://10.0.0.1:8791', 'http://10.0.0.1:8792'];
  const counts = new Map(urls.map((url) => [url, 0]));
  for (let key = 0; key < 3000; key++) {
    const first = rank(urls, `prompt ${key}`)[0] as string;
    counts.set(first, (counts.get(first) ?? 0) + 1);
  }
  // About a thousand keys each, within six standard deviations of the binomial.
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(155);
});

test('a member that joins or leaves moves about its share of the keys, and no others', () => {
  const urls = Array.from({ length: 8 }, (_, i) => `https://backend-${i}.example`);
  const keys = Array.from({ length: 4000 }, (_, key) => `prompt ${key}`);
  const homes = (of: readonly string[]) => keys.map((key) => rank(of, key)[0]!);
  const all = homes(urls);
  for (const leaving of urls) {
    const left = homes(urls.filter((url) => url !== leaving));
    const moved = keys.flatMap((_, i) => (all[i] === left[i] ? [] : [all[i]!]));
    expect(new Set(moved)).toEqual(new Set([leaving]));
    // An eighth of them: 500, within six standard deviations of the binomial.
    expect(Math.abs(moved.length - 500)).toBeLessThan(126);
    // They spread over all that stay.
    const takers = new Set(keys.flatMap((_, i) => (all[i] === leaving ? [left[i]!] : [])));
    expect(takers.size).toBe(urls.length - 1);
  }
});
