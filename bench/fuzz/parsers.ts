/** What reads other people's bytes, called directly: many more cases a second than over HTTP. */
import * as fc from 'fast-check';
import { errors as joseErrors } from 'jose';
import * as z from 'zod';
import { compile, secondLookOf } from '#policies/compile.ts';
import { diffPolicies } from '#policies/diff.ts';
import { effectivePolicy, readLevel } from '#policies/effective.ts';
import { readPolicy } from '#policies/problems.ts';
import { STRICTEST } from '#policies/schema.ts';
import { arbitraryPolicy, arbitrarySignalValues } from '#policies/testing/arbitrary-policy.ts';
import { canonicalPolicy, policyVersion } from '#policies/version.ts';
import { PlimsollError } from '#shared/api/errors.ts';
import { Line, OPEN_LINE } from '#shared/line/line.ts';
import { type Directive, directiveKey, signDirective, verifyDirective } from '#shared/protocol/directive.ts';
import { verifyEdgeReceipt } from '#shared/protocol/edge-receipt.ts';
import { verifyReceipt } from '#shared/protocol/receipt.ts';
import { sha256Hex } from '#shared/protocol/sha256.ts';
import { readFrames } from '#workers/gateway/read-frames.ts';
import { createReceiptKey } from '#workers/testing/receipt-key.ts';
import { type FuzzKind, openKind } from './fuzz-kind.ts';

const document = fc.oneof(
  fc.jsonValue(),
  fc
    .tuple(arbitraryPolicy, fc.nat(), fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom(1e308, -0, '\ud83d')))
    .map(([policy, at, value]): unknown => {
      const keys = Object.keys(policy);
      return { ...policy, [keys[at % keys.length] ?? '']: value };
    }),
  arbitraryPolicy.map((policy): unknown => policy),
);

/**
 * A document is a policy or has problems that name their keys. A policy makes a valid line from any
 * signals, and joined with the strictest one it stays as strict.
 */
export const policies: FuzzKind = async () =>
  openKind(
    fc.record({ document, other: document, kind: fc.constantFrom('policy', 'part'), signals: arbitrarySignalValues }),
    async ({ document, other, kind, signals }) => {
      const { policy, problems } = readPolicy(document, kind);
      if ((policy === null) !== problems.length > 0) throw new Error('neither a policy nor problems');
      if (problems.some(({ key, found, wanted }) => [key, found, wanted].includes(''))) throw new Error('a blank word');
      const texts = [document, other].map((each) => JSON.stringify(each) ?? '');
      const [text = '', otherText = ''] = texts;
      const levels = [
        await readLevel('tenant', text, await policyVersion(text)),
        await readLevel('key', otherText, await policyVersion(otherText)),
      ];
      const joined = await effectivePolicy(levels);
      if (policy === null) return 'not a policy';
      diffPolicies(policy, joined.policy);
      secondLookOf(joined.policy);
      const again = readPolicy(JSON.parse(canonicalPolicy(joined.policy)), 'policy');
      if (again.policy === null) throw new Error(`a join that is no policy: ${JSON.stringify(again.problems)}`);
      for (const each of [policy, joined.policy]) {
        const verdict = compile(each, signals);
        if (verdict.action === 'answer') Line.parse(verdict.line);
      }
      const strict = await effectivePolicy([
        { level: 'tenant', version: null, policy: STRICTEST, problem: null },
        ...levels.slice(1),
      ]);
      const strictest = compile(strict.policy, signals);
      if (strictest.action === 'answer' && strictest.line.floor !== 1) throw new Error('looser than the strictest');
      return 'a policy';
    },
  );

/** A part of a JWS is changed, lost or replaced, or all of it is something else. */
const damage = fc.oneof(
  fc.record({ part: fc.nat({ max: 2 }), to: fc.oneof(fc.base64String(), fc.stringMatching(/^[\w-]*$/), fc.string()) }),
  fc.record({
    part: fc.nat({ max: 1 }),
    to: fc
      .oneof(
        fc.jsonValue({ maxDepth: 2 }),
        fc.record({
          alg: fc.constantFrom('none', 'HS256', 'EdDSA', 'Ed25519', 'RS256', '', null),
          typ: fc.constantFrom('plimsoll-directive+jwt', 'plimsoll-receipt+jwt', 'JWT'),
          kid: fc.jsonValue({ maxDepth: 1 }),
          crit: fc.jsonValue({ maxDepth: 1 }),
          b64: fc.boolean(),
          jwk: fc.jsonValue({ maxDepth: 1 }),
        }),
      )
      .map((header) => Buffer.from(JSON.stringify(header)).toString('base64url')),
  }),
  fc.string({ unit: 'binary' }).map((whole) => ({ part: null, to: whole })),
);
function damaged(token: string, { part, to }: { part: number | null; to: string }): string {
  return part === null
    ? to
    : token
        .split('.')
        .map((piece, i) => (i === part ? to : piece))
        .join('.');
}

/** Only what was signed for this body is taken. Everything else is one of two errors. */
export const directives: FuzzKind = async () => {
  const key = directiveKey('a secret of at least 32 bytes, for the fuzz');
  const claims = fc.dictionary(
    fc.constantFrom('id', 'request', 'tenant', 'line', 'digest', 'second_look', 'resume', 'exp', 'iat', 'x'),
    fc.jsonValue({ maxDepth: 3 }),
    { noNullPrototype: true },
  );
  const inputs = fc.record({
    claims,
    damage: fc.option(damage),
    body: fc.uint8Array({ maxLength: 50 }),
    other: fc.boolean(),
  });
  return openKind(inputs, async ({ claims, damage, body, other }) => {
    const signed: Directive = {
      id: crypto.randomUUID(),
      request: 'req_1',
      tenant: 'acme',
      key: 'main',
      policy: 'p',
      classifier: 'c1',
      digest: await sha256Hex(body),
      line: OPEN_LINE,
      second_look: null,
      resume: null,
    };
    // The cast: what is wrong with it is the case.
    const token = await signDirective({ ...signed, ...claims } as Directive, key);
    const sent = damage === null ? token : damaged(token, damage);
    const bytes = other ? Uint8Array.of(...body, 0) : body;
    const taken = await verifyDirective(sent, bytes, key).catch((thrown: unknown) => {
      const isKnown = thrown instanceof PlimsollError && thrown.code.startsWith('directive_');
      if (!isKnown) throw thrown;
      return null;
    });
    if (taken !== null && (other || sent !== token)) throw new Error(`a directive that nobody has signed: ${sent}`);
    return taken === null ? 'refused' : 'taken';
  });
};

const token = fc.record({
  type: fc.constant('token'),
  id: fc.nat(),
  text: fc.string({ unit: 'grapheme' }),
  weight: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.jsonValue()),
  spent: fc.option(fc.double()),
});
const frameLine = fc.oneof(
  fc
    .oneof(token, fc.record({ type: fc.constantFrom('text', 'echo'), text: fc.string() }), fc.jsonValue())
    .map((each) => JSON.stringify(each)),
  fc.string({ unit: 'binary' }),
);

/** Any bytes in any pieces are frames, or an answer that broke off. */
export const frames: FuzzKind = async () =>
  openKind(
    fc.record({
      bytes: fc.oneof(
        fc.uint8Array({ maxLength: 500 }),
        fc.array(frameLine).map((all) => Buffer.from(all.join('\n'))),
      ),
      piece: fc.integer({ min: 1, max: 200 }),
    }),
    async ({ bytes, piece }) => {
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          for (let from = 0; from < bytes.length; from += piece) controller.enqueue(bytes.subarray(from, from + piece));
          controller.close();
        },
      });
      try {
        for await (const batch of readFrames(body)) if (batch.length === 0) throw new Error('an empty batch');
        return 'read to the end';
      } catch (thrown) {
        if (!(thrown instanceof PlimsollError) || thrown.code !== 'backend_unavailable') throw thrown;
        return 'broken off';
      }
    },
  );

/** No damaged receipt is taken, neither a backend's nor the edge's. */
export const receipts: FuzzKind = async () => {
  const { privateKey, kid, jwks } = await createReceiptKey('fuzz');
  const { SignJWT } = await import('jose');
  const claims = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { noNullPrototype: true });
  const inputs = fc.record({
    claims,
    damage: fc.option(damage),
    edge: fc.boolean(),
    /** Of another kind than they should be. */
    keys: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.jsonValue() }),
  });
  return openKind(inputs, async ({ claims, damage, edge, keys }) => {
    const typ = edge ? 'plimsoll-edge-receipt+jwt' : 'plimsoll-receipt+jwt';
    const token = await new SignJWT({ ...claims, iss: edge ? 'plimsoll-edge' : 'plimsoll-backend' })
      .setProtectedHeader({ alg: 'EdDSA', typ, kid })
      .sign(privateKey);
    const sent = damage === null ? token : damaged(token, damage);
    // The cast: keys come from the network, too.
    const among = keys === null ? jwks : ({ keys: Array.isArray(keys) ? keys : [keys] } as typeof jwks);
    const taken = await (edge ? verifyEdgeReceipt : verifyReceipt)(sent, among).catch((thrown: unknown) => {
      if (!(thrown instanceof joseErrors.JOSEError) && !(thrown instanceof z.ZodError)) throw thrown;
      return null;
    });
    if (taken !== null) throw new Error(`a receipt of random claims was taken: ${sent}`);
    return 'refused';
  });
};
