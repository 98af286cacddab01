/** What the two looks thought of the prompt: the edge's classifier, and the backend's probe. */
import type { CategoryProbability, SentExtension } from '#shared/api/plimsoll-extension.ts';
import { inPercent } from '../net/words.ts';

/** Below it, a category says nothing. */
const WORTH_SHOWING = 0.05;
const MOST_SHOWN = 4;

export function Look({ extension }: { extension: SentExtension }) {
  const { categories, second_look: second, unread = 0, uncertain = 0, shadow = [] } = extension;
  if (categories === undefined) {
    return <p class="small">The policy keeps to itself what was thought of the prompt.</p>;
  }
  return (
    <div class="looks">
      <Verdict name="The edge" categories={categories} />
      {second == null ? (
        <div class="look">
          <h4>The backend</h4>
          <p class="small">took no second look.</p>
        </div>
      ) : (
        <Verdict name="The backend" categories={second.categories}>
          <p class="small">
            {second.tightened
              ? `It tightened the line${second.because === null ? '' : ` for ${words(second.because)}`}.`
              : 'It left the line as it was.'}
          </p>
        </Verdict>
      )}
      {unread > 0 && <p class="small">Part of the prompt is beyond what the classifier reads.</p>}
      {uncertain > WORTH_SHOWING && (
        <p class="small">{inPercent(uncertain)} likely that part is in a language that the classifier does not know.</p>
      )}
      {shadow.map(({ signal, tightens }) => (
        <p class="small" key={signal}>
          In shadow: a rule for {words(signal)}{' '}
          {tightens ? 'would have tightened the line.' : 'would have changed nothing.'}
        </p>
      ))}
    </div>
  );
}

function Verdict({
  name,
  categories,
  children,
}: {
  name: string;
  categories: readonly CategoryProbability[];
  children?: preact.ComponentChildren;
}) {
  const found = categories
    .filter(({ probability }) => probability >= WORTH_SHOWING)
    .sort((a, b) => b.probability - a.probability)
    .slice(0, MOST_SHOWN);
  return (
    <div class="look">
      <h4>{name}</h4>
      {found.length === 0 ? (
        <p class="small">finds nothing of note.</p>
      ) : (
        <ul class="bars">
          {found.map(({ name: category, probability }) => (
            <li key={category}>
              <span class="bar-name">{words(category)}</span>
              <span class="meter" style={{ '--p': probability }} />
              <span class="bar-value">{inPercent(probability)}</span>
            </li>
          ))}
        </ul>
      )}
      {children}
    </div>
  );
}

const words = (signal: string) => signal.replaceAll('_', ' ');
