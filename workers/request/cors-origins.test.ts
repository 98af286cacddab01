import { describe, expect, test } from 'vitest';
import { allowedOrigin, CorsOrigins } from './cors-origins.ts';

describe('the setting', () => {
  test.each([
    ['', []],
    ['none', []],
    ['*', ['*']],
    [' https://app.example , loopback', ['https://app.example', 'loopback']],
    ['http://localhost:3000', ['http://localhost:3000']],
  ])('%s', (text, list) => expect(CorsOrigins.parse(text)).toEqual(list));

  test.each([
    'https://app.example/',
    'https://app.example/path',
    'app.example',
    'null',
    '*, none',
    'https://*.example',
  ])('%s is refused', (text) => expect(CorsOrigins.safeParse(text).success).toBe(false));
});

describe('an origin', () => {
  test.each([
    ['https://app.example', ['https://app.example'], 'https://app.example'],
    ['https://app.example', ['*'], '*'],
    ['null', ['*'], '*'],
    ['http://app.example', ['https://app.example'], null],
    ['https://app.example:8443', ['https://app.example'], null],
    ['https://evil-app.example', ['https://app.example'], null],
    ['https://app.example', [], null],
    ['null', ['loopback'], null],
    ['http://localhost:5173', ['loopback'], 'http://localhost:5173'],
    ['http://127.0.0.1:3000', ['loopback'], 'http://127.0.0.1:3000'],
    ['https://[::1]', ['loopback'], 'https://[::1]'],
    ['http://app.localhost', ['loopback'], 'http://app.localhost'],
    ['http://localhost.evil.example', ['loopback'], null],
    ['http://127.0.0.1.evil.example', ['loopback'], null],
    ['http://evillocalhost', ['loopback'], null],
    ['chrome-extension://localhost', ['loopback'], null],
  ])('%s under %j: %s', (origin, list, allowed) => expect(allowedOrigin(origin, list)).toBe(allowed));
});
