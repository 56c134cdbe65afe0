// A shop's search page of InstantSearch and Searchkit that loads the sidecar's collector. Searches, clicks a hit,
// and prints what the collector sent and what the sidecar answered as one JSON object.
// Usage: node shopper_page.mjs BASE_URL QUERY...
import { JSDOM } from 'jsdom';

const [base, ...queries] = process.argv.slice(2);
const batches = [];
const answers = [];
let sendings = 0;
const collected = (url, options) => {
  batches.push(...JSON.parse(options.body));
  sendings += 1;
  return fetch(url, options).then(async (response) => answers.push(await response.json()));
};
const dom = new JSDOM(
  `<div id="box"></div><div id="hits"></div>
  <script src="${base}/_attune/collector.js" data-application="shop"></script>`,
  {
    url: 'http://shop.example/',
    pretendToBeVisual: true,
    runScripts: 'dangerously',
    resources: 'usable',
    beforeParse: (window) => Object.assign(window, { fetch: collected }), // jsdom has none
  },
);
const { window } = dom;
await new Promise((resolve) => window.addEventListener('load', resolve));
Object.assign(globalThis, { window, document: window.document, HTMLElement: window.HTMLElement, Event: window.Event });

const { default: Searchkit } = await import('searchkit');
const { default: client } = await import('@searchkit/instantsearch-client');
const { default: instantsearch } = await import('instantsearch.js/es/index.js');
const { configure, hits, searchBox } = await import('instantsearch.js/es/widgets/index.js');

const searchkit = new Searchkit({
  connection: { host: base, headers: window.attune.headers },
  search_settings: {
    search_attributes: [{ field: 'title', weight: 3 }, { field: 'brand', weight: 2 }],
    result_attributes: ['title'],
  },
});
const page = instantsearch({ indexName: 'products', searchClient: client(searchkit) });
page.use(window.attune.instantsearch);
page.addWidgets([
  configure({ hitsPerPage: 5 }),
  searchBox({ container: '#box' }),
  hits({ container: '#hits', templates: { item: (hit, { html }) => html`<a data-attune-id=${hit.objectID}>${hit.title}</a>` } }),
]);
page.start();

/** Wait until a condition holds. */
async function until(condition) {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
}

const links = () => [...window.document.querySelectorAll('#hits a')];
const shown = {};
for (const query of queries) {
  const before = links().map((link) => link.dataset.attuneId).join();
  const input = window.document.querySelector('#box input');
  input.value = query;
  input.dispatchEvent(new window.Event('input', { bubbles: true }));
  await until(() => links().length && links().map((link) => link.dataset.attuneId).join() !== before);
  shown[query] = links().map((link) => link.dataset.attuneId);
  links()[1].click();
}
await until(() => batches.filter((sent) => sent.action_name).length === queries.length && answers.length === sendings);

process.stdout.write(JSON.stringify({ shown, sent: batches, answers, client: window.attune.client }));
page.dispose();
window.close();
