/** A version's own tests, one by one: what came of each prompt, and what was wanted. */
import { inShort, nats } from '../net/words.ts';
import { Empty } from '../parts/notice.tsx';
import type { PartProps } from './common/place.ts';
import { type Tested, TestsVerdict, useTests } from './tests-verdict.tsx';

export function TestsPart({ place: { at, version } }: PartProps) {
  const tests = useTests(at, version);
  const results = tests.value?.data ?? [];
  if (tests.value !== null && results.length === 0) {
    return (
      <Empty title="This version has no tests">
        <p>
          Write some under <code>tests</code> in the document: a prompt, and what must come of it. Those that fail keep
          a version from going live. <em>Explain</em> makes one out of any prompt.
        </p>
      </Empty>
    );
  }
  return (
    <>
      <div class="actions start">
        <button type="button" class="primary" disabled={tests.asking} onClick={tests.again}>
          {tests.value === null ? 'Run the tests' : 'Run them again'}
        </button>
        <span class="small">At the edge, with its classifier, under the operator’s policy and the plan’s.</span>
      </div>
      <TestsVerdict tests={tests} />
      {results.length > 0 && (
        <ol class="log tests">
          {results.map((result) => (
            <Result key={`${result.name} ${result.prompt}`} result={result} />
          ))}
        </ol>
      )}
    </>
  );
}

function Result({ result: { name, prompt, passed, found, failures } }: { result: Tested['data'][number] }) {
  const { action, floor, budget, fires } = found;
  return (
    <li>
      <span class={`state ${passed ? 'good' : 'bad'}`}>{passed ? 'passes' : 'fails'}</span>
      <div class="stack tight">
        <h3 class="test-name wrap" dir="auto">
          {name}
        </h3>
        {prompt !== name && (
          <p class="clamped wrap" dir="auto">
            {prompt}
          </p>
        )}
        {failures.map((failure) => (
          <p key={failure} class="failure">
            {failure}
          </p>
        ))}
        <p class="small">
          Found: {action.replaceAll('_', ' ')}
          {action !== 'refuse' && `, floor ${inShort(floor)}, budget ${nats(budget)}`}
          {fires.length > 0 && `; fires ${fires.map((signal) => signal.replaceAll('_', ' ')).join(', ')}`}
        </p>
      </div>
    </li>
  );
}
