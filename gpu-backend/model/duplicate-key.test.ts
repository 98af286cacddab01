import fc from 'fast-check';
import { expect, test } from 'vitest';
import { duplicateKey } from './duplicate-key.ts';

test.each<[json: string, key: string | undefined]>([
  ['{}', undefined],
  ['"a"', undefined],
  ['{"a":1,"b":1}', undefined],
  ['{"a":1,"a":2}', 'a'],
  ['{"a":1,"\\u0061":2}', 'a'],
  ['{"a" : 1,\n"a"\t:2}', 'a'],
  ['{"a":{"b":1},"b":{"a":1}}', undefined],
  ['{"x":[{"a":1},{"a":1}]}', undefined],
  ['{"x":[{"a":1,"b":[],"a":1}]}', 'a'],
  ['{"a":"a","b":"b"}', undefined],
  ['{"a":["a","a"]}', undefined],
  ['{"a":"\\"a\\":","b":"a\\\\"}', undefined],
  ['{"__proto__":1,"__proto__":2}', '__proto__'],
  ['{"":1,"":2}', ''],
])('%s has %s twice', (json, key) => {
  expect(duplicateKey(json)).toBe(key);
});

test('what JSON.stringify writes has no key twice, and one repeated entry is found', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), fc.nat(), (object, pick) => {
      const json = JSON.stringify(object);
      expect(duplicateKey(json)).toBeUndefined();
      const keys = Object.keys(object);
      const key = keys[pick % keys.length]!;
      expect(duplicateKey(`${json.slice(0, -1)},${JSON.stringify(key)}:0}`)).toBe(key);
      expect(duplicateKey(`[[],{"outside":${json.slice(0, -1)},${JSON.stringify(key)}:0}}]`)).toBe(key);
    }),
  );
});
