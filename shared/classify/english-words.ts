/**
 * Whether a word that the list may lack is English: a listed word with a usual beginning or ending,
 * one typed without its apostrophe or in chat style, or one that science made from Greek and Latin.
 * `unknown-language.ts` and `typing-noise.ts` need to know.
 */
import type { Lexicon } from './lexicon.ts';

const words = (list: string): readonly string[] => list.trim().split(/\s+/);

const ENDINGS = words("'s s es ed d ing ly er ers y al ness n't 'll 're 've 'd ous ful less able ism ist ity ment");
const BEGINNINGS = words(
  'un re non over sub pre anti auto co counter de dis hyper inter micro mis multi out post super trans',
);

/** What people write in chats, and words without their apostrophe, in lower case. */
const CHAT: ReadonlySet<string> = new Set(
  words(`dont cant wont isnt arent didnt doesnt couldnt wouldnt shouldnt havent hasnt wasnt werent thats whats hes shes theres
im ive id youre youve theyre theyll well lets aint gonna wanna gotta kinda sorta lemme gimme dunno cuz coz cos tho thx pls plz ppl
lol lmao omg btw imo imho ngl smh idk tbh lmk asap brb gtg ttyl wyd wassup bruv innit sus fr rn bc abt msg txt ur ya yall
lowkey highkey bro bruh dude okay ok hmm haha hahaha nah yep yup nope shud wud cud sum vibe vibin tmrw tonite nite
mins hrs tsp tbsp vs etc app apps blog email online website wifi selfie emoji smartphone login username config`),
);

/** Words that programs are made of. */
const TECHNICAL: ReadonlySet<string> = new Set(
  words(`async await const bool args argv kwargs param params func init json yaml html css sql api url http https php npm
regex stdin stdout printf println numpy scipy pandas pytorch tensorflow sklearn seaborn matplotlib kubernetes docker podman nginx redis
kafka grafana prometheus postgres mysql sqlite mongodb graphql webpack typescript javascript python github linux ubuntu debian`),
);

/** The old English of plays and prayers. */
const OLD: ReadonlySet<string> = new Set(
  words(`thou thee thy thine thyself ye hath doth dost hast shalt wilt wouldst canst didst ere oft nay yea tis 'tis twas 'twas o'er
ne'er e'er wherefore whence whither hither thither whereof thereof hereof therewith betwixt anon alas forsooth methinks prithee whilst`),
);

/** Endings of long scientific words in English. Words of other languages seldom end like this. */
const SCIENCE =
  /(?:olog(?:y|ist|ical)|itis|osis|osic|otic|a?emi[ac]|a?emia|penic?|penia|uria|pathy|pathic|graph(?:y|ic)|metr(?:y|ic)|scop[ey]|scopic|statin|cillin|mycin|micin|oxacin|vancin|zolid|ampin|aphin|nib|mab|virs?|triptan|profen|xicam|coxib|caine|fenac|acin|oxen|otoxic|azole|sartan|olol|idine|amine|azine|zepam|ofen|phen|oxin|sterone|trophic|genic|genesis|lysis|lytic|plasty|tomy|ylation|ination|isation|ization|tional|cyte|cytes|blast|morphic|static|stasis|scedastic|saurus|phosphate|oxide|thyroxine|thyroiditis|lithiasis|megaly|osomes?|kinase|ferase|elastic|ibility|ability|ivity|ness|ously|ically|iously)s?$/;
const LEAST_SCIENCE = 8;
/** Nearly any word contains shorter words than this. */
const LEAST_HALF = 4;

/** Takes `word` in lower case. `isEnglish('building', lexicon)` is true for a list with `build`. */
export function isEnglish(word: string, lexicon: Lexicon): boolean {
  if (lexicon.has(word)) return true;
  const known = (stem: string) =>
    lexicon.has(stem) || lexicon.has(`${stem}e`) || (stem.endsWith('i') && lexicon.has(`${stem.slice(0, -1)}y`));
  return (
    ENDINGS.some(
      (ending) => word.length > ending.length + 2 && word.endsWith(ending) && known(word.slice(0, -ending.length)),
    ) ||
    BEGINNINGS.some(
      (start) => word.length > start.length + 3 && word.startsWith(start) && lexicon.has(word.slice(start.length)),
    )
  );
}

/** "rooftop", "waterlogged": two words in one. */
export function isCompound(word: string, lexicon: Lexicon): boolean {
  for (let at = LEAST_HALF; at <= word.length - LEAST_HALF; at++)
    if (lexicon.has(word.slice(0, at)) && isEnglish(word.slice(at), lexicon)) return true;
  return false;
}

export function isJargon(word: string): boolean {
  return CHAT.has(word) || TECHNICAL.has(word) || OLD.has(word);
}

/** Whether a word looks like a scientific one. Such a word says little about the language. */
export function isScience(word: string): boolean {
  return word.length >= LEAST_SCIENCE && SCIENCE.test(word);
}
