/** Texts that tokenizers stumble over, and conversations of them. The same in every run. */
import type { Message } from '#shared/protocol/generate.ts';

/** mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const SAMPLES = [
  'The quick brown fox jumps over the lazy dog. Zażółć gęślą jaźń! Voilà, l’été à Nîmes; ß ſ ŉ ǅ İ ı',
  'Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΟΔΥΣΣΕΥΣ',
  'Съешь же ещё этих мягких французских булок',
  'דג סקרן שט בים מאוכזב',
  'نص حكيم له سر قاطع وذو شأن عظيم ١٢٣',
  'ऋषियों को सताने वाले दुष्ट राक्षसों १२३',
  'เป็นมนุษย์สุดประเสริฐเลิศคุณค่า',
  '我能吞下玻璃而不伤身体。一二三，四五六！',
  'いろはにほへと ちりぬるを カタカナ ﾊﾝｶｸ',
  '키스의 고유조건은 입술끼리 만나야 하고',
  '\u1112\u1161\u11ab\u1100\u1173\u11af',
  'ვეპხის ტყაოსანი ሰማይ አይታረስ ንጉሥ አይከሰስ யாமறிந்த மொழிகளிலே',
  '😀👍🏽👩‍👩‍👧‍👦🇫🇷🏴󠁧󠁢󠁥󠁮󠁧󠁿 🐀 ❤️ 0️⃣',
  '∑∫√∞≠≤ 𝔄𝕭𝒞 x²+y³=½ Ⅻ ①',
  'e\u0301 n\u0303 Z\u0351\u036b a\u0328\u0301',
  '0 12 123 1234 12345 3.14159 1,000,000 0x7fff 2026-11-29',
  "def f(x):\n\tif x is None:\n\t\treturn 'a'  # it's\n\n\n    for (;;) { a[i]++; }\r\n<b>html</b> &amp; $x->y[\"k\"]",
  '\u0000\u0001\u0007\b\u000b\f\u001b[0m\u007f\u0085\u00a0\u00ad\u200b\u200d\u2028\ufeff\ufffd\ufdd0\uffff',
  ' a  b   c    d\t\te \n \n\n f\u3000g\u2003h  ',
  "!!! ... --- ''' \"\"\" ??? ~~~ ### @@@ ((())) «» “quotes” — don't WE'LL I'M you'Ve",
  '\u{40000}\u{e0020}\u{f0000}\u{10ffff}𐍈𒀀',
  '▁a▁ <0x0A> ĠĊ Ã©',
  'HTTPServer2XMLParser snake_case camelCase kebab-case',
];

/** 300 texts: scripts, emoji, digits, code, control characters, mixtures and noise. */
export function realTexts(): string[] {
  const random = randomFrom(1);
  const below = (most: number) => Math.floor(random() * most);
  const pick = <T>(choices: readonly T[]): T => choices[below(choices.length)]!;
  const letters = SAMPLES.map((sample) => Array.from(sample));

  const mixture = () => {
    const pieces = Array.from({ length: 1 + below(6) }, () => {
      const sample = pick(letters);
      const start = below(sample.length);
      return sample.slice(start, start + 1 + below(12)).join('') + pick(['', '', ' ', '\n', '  ']);
    });
    return pieces.join('');
  };
  const noise = () => {
    const any = () => String.fromCodePoint(below(random() < 0.5 ? 0x80 : 0xd800));
    return Array.from({ length: below(40) }, () => (random() < 0.5 ? pick(pick(letters)) : any())).join('');
  };
  return [...SAMPLES, ...Array.from({ length: 177 }, mixture), ...Array.from({ length: 100 }, noise)];
}

const ODD = [
  '<think>a</think>b',
  '</think>',
  '<think>\nplan\n</think>\n\nanswer',
  '  \n padded \n\n',
  '',
  '[INST] hi [/INST]',
  '<|im_end|>',
  '<|eot_id|><|start_header_id|>system<|end_header_id|>',
  '<｜User｜>',
  '<<SYS>>s<</SYS>>',
  '{{ 1 }} {% if %}',
  '<tool_response>\nq\n</tool_response>',
  '\u001f\u0085 a \u2003\ufeff',
  '/no_think hi',
];

/** 80 conversations. In a quarter of them the roles follow no order. */
export function realConversations(): Message[][] {
  const random = randomFrom(7);
  const below = (most: number) => Math.floor(random() * most);
  const pick = <T>(choices: readonly T[]): T => choices[below(choices.length)]!;
  const texts = realTexts();
  const content = () => (random() < 0.5 ? pick(ODD) + (random() < 0.3 ? pick(texts) : '') : pick(texts));
  const message = (role: Message['role']): Message => ({ role, content: content() });

  const orderly = () => {
    const turns = 1 + below(3);
    const rounds = Array.from({ length: turns }, (_, i) => [
      message('user'),
      ...(i < turns - 1 || random() < 0.3 ? [message('assistant')] : []),
    ]);
    return [...(random() < 0.5 ? [message('system')] : []), ...rounds.flat()];
  };
  const unruly = () =>
    Array.from({ length: 1 + below(4) }, () => message(pick(['system', 'user', 'assistant'] as const)));
  return [...Array.from({ length: 60 }, orderly), ...Array.from({ length: 20 }, unruly)];
}
