// Checks a saved answer, or a saved refusal, against saved keys. It needs no network and no secret:
//   node examples/receipt-offline.mjs answer.json jwks.json
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createLocalJWKSet, jwtVerify } from 'jose';

const [answer, keys] = process.argv.slice(2).map((file) => JSON.parse(readFileSync(file, 'utf8')));
const { plimsoll, message } = answer.error ?? { plimsoll: answer.plimsoll, ...answer.choices[0] };

// A refusal is the edge's own. An answer is a backend's, or the edge's that mixed it. Tools' calls
// were read in `drawn_text`. Of an answer that a second look refused, the model said nothing.
const refused = answer.error !== undefined;
const said = plimsoll.drawn_text ?? message.content;
const text = refused ? message : answer.choices[0].finish_reason === 'content_filter' ? '' : said;
const [issuer, typ] = refused
  ? ['plimsoll-edge', 'plimsoll-edge-receipt+jwt']
  : [['plimsoll-backend', 'plimsoll-edge'], 'plimsoll-receipt+jwt'];

const algorithms = ['EdDSA', 'Ed25519'];
const { payload } = await jwtVerify(plimsoll.receipt, createLocalJWKSet(keys), { algorithms, issuer, typ });
const digest = refused ? payload.text_digest : payload.answer_digest;
if (digest !== createHash('sha256').update(text).digest('hex')) throw new Error('the receipt is for another text');
console.log(`genuine: ${payload.tenant} under policy ${payload.policy}, request ${payload.request}`);
