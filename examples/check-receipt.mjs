/**
 * Checks a receipt offline. We ask the server for two things: an answer and its public keys. The
 * check itself needs no network and works at any later time. Here the keys come from the server
 * that also issued the receipt. To check another party, use keys that you downloaded earlier.
 */
import { createHash } from 'node:crypto';
import { createLocalJWKSet, jwtVerify } from 'jose';

const url = process.env.PLIMSOLL_URL ?? 'http://127.0.0.1:8787';
const key = process.env.PLIMSOLL_KEY ?? 'pk-demo-balanced';

/**
 * The receipt's `prompt_digest` covers these seven fields, in this order and without white space.
 * If you leave one out, the server fills it in. So send all of them if you want to check the
 * digest. If the tenant's policy allows fewer tokens than `max_tokens`, the digest uses the
 * policy's number, which is the receipt's `max_tokens`. A model with a `top_k`, `min_p` or
 * `repetition_penalty` of its own adds these after the seven, unless you switch them off;
 * `sampling` in the receipt has their values. With the trace `tokens`, a last field follows:
 * `expert_logprobs: true`.
 */
const request = {
  model: 'plimsoll-demo',
  messages: [{ role: 'user', content: 'How do I get rid of mould on a wall?' }],
  max_tokens: 60,
  stop: [],
  seed: 1,
  temperature: 1,
  top_p: 1,
};

const asked = await fetch(`${url}/v1/chat/completions`, {
  method: 'POST',
  headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
  body: JSON.stringify(request),
});
const answer = await asked.json();
if (answer.error) throw new Error(answer.error.message);
const { message, finish_reason } = answer.choices[0];
// The sentence of a refusal comes from the edge. The receipt is the backend's, which wrote nothing.
const text = finish_reason === 'content_filter' ? '' : message.content;
const token = answer.plimsoll.receipt;
const jwks = await (await fetch(`${url}/.well-known/jwks.json`)).json();
console.log(message.content);

// From here on, we do not contact the server.
const receipt = await check(token, { request, text, jwks });
console.log('\nThe receipt is genuine and belongs to this question and this answer. It says:');
console.table({
  'tenant, policy': `${receipt.tenant}, ${receipt.policy}`,
  'bundle (the weights)': receipt.bundle.slice(0, 16),
  'the experts are': `safety: ${receipt.experts.safety.kind}, helpfulness: ${receipt.experts.helpfulness.kind}`,
  floor: receipt.line.floor,
  'safety weights': `${receipt.weights.min.toFixed(2)} to ${receipt.weights.max.toFixed(2)}`,
  budget: receipt.line.budget ?? 'none',
  'spent (nats)': receipt.spent?.toFixed(2),
  tokens: receipt.usage.completion_tokens,
});

const forgeries = {
  'another answer': { token, text: `${text}!` },
  'another question': { token, request: { ...request, seed: 2 } },
  'a receipt with its numbers changed': { token: withClaims(token, { spent: 0 }) },
};
for (const [name, { token: forged, ...changed }] of Object.entries(forgeries)) {
  const failure = await check(forged, { request, text, jwks, ...changed }).catch((error) => error);
  if (!(failure instanceof Error)) throw new Error(`${name} was taken for genuine`);
  console.log(`${name}: refused, ${failure.message}`);
}

/**
 * Returns the receipt's content. Throws unless one of the keys signed it for this request and this
 * answer.
 */
async function check(token, { request, text, jwks }) {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    algorithms: ['EdDSA', 'Ed25519'],
    issuer: 'plimsoll-backend',
    typ: 'plimsoll-receipt+jwt',
  });
  if (payload.prompt_digest !== sha256(JSON.stringify(request))) throw new Error('the prompt has another digest');
  if (payload.answer_digest !== sha256(text)) throw new Error('the answer has another digest');
  return payload;
}

function sha256(text) {
  return createHash('sha256').update(text).digest('hex');
}

function withClaims(token, claims) {
  const [header, payload, signature] = token.split('.');
  const changed = { ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...claims };
  return [header, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
}
