import { beforeAll, expect, test } from 'vitest';
import { directiveKey } from '#shared/protocol/directive.ts';
import { helpfulnessSecret } from '#shared/protocol/pool-secret.ts';
import { type BackendConfig, readConfig } from './config.ts';
import { receiptSigner } from './receipt-signer.ts';
import { DRAW_SECRET, receiptKeys, SECRET } from './testing/backend-client.ts';

let env: Record<string, string>;
let receiptPrivateJwk: NonNullable<BackendConfig['receiptPrivateJwk']>;
beforeAll(async () => {
  ({ receiptPrivateJwk } = await receiptKeys());
  env = {
    PLIMSOLL_BUNDLE: 'models/demo',
    PLIMSOLL_DIRECTIVE_SECRET: SECRET,
    PLIMSOLL_DRAW_SECRET: DRAW_SECRET,
    PLIMSOLL_RECEIPT_PRIVATE_JWK: JSON.stringify(receiptPrivateJwk),
  };
});

test('needs four settings and has defaults for the rest', () => {
  expect(readConfig(env)).toEqual({
    bundle: 'models/demo',
    engines: null,
    host: '127.0.0.1',
    port: 8788,
    directiveSecret: SECRET,
    oldDirectiveSecrets: [],
    drawSecret: DRAW_SECRET,
    oldDrawSecrets: [],
    receiptPrivateJwk,
    serves: 'all',
    backendId: 'local',
    threads: 0,
    provider: 'cpu',
    context: null,
    kvBytes: null,
    speculation: 'auto',
    maxRows: 32,
    maxWaiting: 64,
    register: null,
    publicUrl: null,
    region: null,
    heartbeatMs: 5000,
    graceMs: 5000,
    idleUnloadMinutes: 0,
    prefixCache: null,
    publicPrefixes: null,
    bodyLimitBytes: 1 << 20,
    hostNames: null,
    log: 'json',
    logRequests: '0',
    otlpEndpoint: null,
    otlpHeaders: '',
    traceRatio: 1,
  });
});

test('its own port variable wins over PORT, and an empty variable counts as not set', () => {
  expect(readConfig({ ...env, PORT: '1' }).port).toBe(1);
  expect(readConfig({ ...env, PORT: '1', PLIMSOLL_BACKEND_PORT: '2' }).port).toBe(2);
  expect(readConfig({ ...env, PORT: '1', PLIMSOLL_BACKEND_PORT: '' }).port).toBe(1);
});

test('a backend that registers and listens on all addresses has to say at which one it is found', () => {
  const registers = { ...env, PLIMSOLL_REGISTER: 'https://edge.example', PLIMSOLL_REGION: 'weur' };
  const open = { ...registers, PLIMSOLL_BACKEND_HOST: '0.0.0.0' };
  expect(readConfig(registers)).toMatchObject({ register: 'https://edge.example', region: 'weur', publicUrl: null });
  expect(() => readConfig(open)).toThrow(/PLIMSOLL_BACKEND_URL: is not set, and 0\.0\.0\.0 is no address/);
  const named = readConfig({ ...open, PLIMSOLL_BACKEND_URL: 'https://backend-1.example/' });
  expect(named.publicUrl).toBe('https://backend-1.example');
  expect(() => readConfig({ ...registers, PLIMSOLL_REGION: 'eu-west-1' })).toThrow(/PLIMSOLL_REGION: .*"weur"/);
  expect(() => readConfig({ ...registers, PLIMSOLL_REGISTER: 'edge.example' })).toThrow(/PLIMSOLL_REGISTER: /);
});

test('accepts host names separated by commas', () => {
  expect(readConfig({ ...env, PLIMSOLL_BACKEND_NAMES: '127.0.0.1, LocalHost' }).hostNames).toEqual([
    '127.0.0.1',
    'localhost',
  ]);
});

test('old secrets are JSON lists, and each is as long as a secret has to be', () => {
  const old = (list: string) => readConfig({ ...env, PLIMSOLL_OLD_DIRECTIVE_SECRETS: list }).oldDirectiveSecrets;
  expect(old(JSON.stringify([SECRET, DRAW_SECRET]))).toEqual([SECRET, DRAW_SECRET]);
  expect(() => old(SECRET)).toThrow(
    /^the backend's settings are not usable\n {2}PLIMSOLL_OLD_DIRECTIVE_SECRETS: not JSON$/,
  );
  expect(() => old('["hunter2"]')).toThrow(/PLIMSOLL_OLD_DIRECTIVE_SECRETS: 0: needs at least 32 bytes$/);
});

test('names all variables that are missing or wrong, at once', () => {
  const problems = (changes: Record<string, string | undefined>) => {
    try {
      readConfig({ ...env, ...changes });
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('the settings were accepted');
  };
  const message = problems({
    PLIMSOLL_BUNDLE: undefined,
    PLIMSOLL_DIRECTIVE_SECRET: 'hunter2',
    PLIMSOLL_DRAW_SECRET: undefined,
    PLIMSOLL_BACKEND_PORT: 'http',
    PLIMSOLL_MAX_ROWS: '1',
    PLIMSOLL_PREFIX_CACHE: ' ',
    PLIMSOLL_RECEIPT_PRIVATE_JWK: '{"kty"',
  });
  expect(message).toMatch(/PLIMSOLL_BUNDLE: is not set/);
  expect(message).toMatch(/PLIMSOLL_DRAW_SECRET: is not set/);
  expect(message).toMatch(/PLIMSOLL_DIRECTIVE_SECRET: needs at least 32 bytes/);
  expect(message).toMatch(/PLIMSOLL_BACKEND_PORT: found "http", wanted a number/);
  expect(message).toMatch(/PLIMSOLL_PREFIX_CACHE: found " ", wanted a number/);
  expect(message).toMatch(/PLIMSOLL_MAX_ROWS: .*2/);
  expect(message).toMatch(/PLIMSOLL_RECEIPT_PRIVATE_JWK: not JSON/);
  expect(message).not.toContain('hunter2');
  expect(problems({ PLIMSOLL_RECEIPT_PRIVATE_JWK: '{"kty":"RSA"}' })).toMatch(/PLIMSOLL_RECEIPT_PRIVATE_JWK: kty/);
});

test('a receipt key that is not on the curve prevents the start', async () => {
  await expect(receiptSigner({ ...receiptPrivateJwk, d: 'AAAA' })).rejects.toThrow();
});

test('a backend of the helpfulness pool has that pool’s secret, no draw secret and no receipt key', async () => {
  const secret = await helpfulnessSecret(directiveKey(SECRET));
  const pool = { PLIMSOLL_BUNDLE: 'models/demo', PLIMSOLL_DIRECTIVE_SECRET: secret, PLIMSOLL_SERVES: 'helpfulness' };
  expect(readConfig(pool)).toMatchObject({ directiveSecret: secret, drawSecret: null, receiptPrivateJwk: null });
  const given = { ...env, PLIMSOLL_SERVES: 'helpfulness', PLIMSOLL_OLD_DRAW_SECRETS: JSON.stringify([DRAW_SECRET]) };
  expect(() => readConfig(given)).toThrow(/PLIMSOLL_DIRECTIVE_SECRET: is not the helpfulness pool's own/);
  for (const name of ['DRAW_SECRET', 'OLD_DRAW_SECRETS', 'RECEIPT_PRIVATE_JWK']) {
    expect(() => readConfig(given)).toThrow(new RegExp(`PLIMSOLL_${name}: must not be set`));
  }
  const old = { ...pool, PLIMSOLL_OLD_DIRECTIVE_SECRETS: JSON.stringify([SECRET]) };
  expect(() => readConfig(old)).toThrow(/PLIMSOLL_OLD_DIRECTIVE_SECRETS: is not the helpfulness pool's own/);
  expect(() => readConfig({ ...env, PLIMSOLL_DIRECTIVE_SECRET: secret })).toThrow(/SERVES is not "helpfulness"/);
});
