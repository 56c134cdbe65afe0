// A shop's search page, made of InstantSearch's own widgets and Searchkit, in a DOM. Types into its search box,
// ticks a brand, turns a page, picks an order, and prints what the page then shows as one JSON object.
// Usage: node search_page.mjs BASE_URL QUERY...
import { JSDOM } from 'jsdom';

const [base, ...queries] = process.argv.slice(2);
const dom = new JSDOM(
  ['box', 'stats', 'order', 'brands', 'hits', 'pages'].map((id) => `<div id="${id}"></div>`).join(''),
  { url: 'http://shop.example/', pretendToBeVisual: true },
);
const { window } = dom;
const { document } = window;
Object.assign(globalThis, { window, document, HTMLElement: window.HTMLElement, Event: window.Event });

// Only looks on: which route the page asks, and what Attune says of each answer.
const routes = new Set();
let statuses = [];
const { fetch } = globalThis;
globalThis.fetch = async (url, options) => {
  const response = await fetch(url, options);
  routes.add(new URL(url).pathname);
  const { responses = [] } = await response.clone().json();
  statuses.push(...responses.map((one) => one.ext?.attune.rerank_status ?? null));
  return response;
};

const { default: Searchkit } = await import('searchkit');
const { default: client } = await import('@searchkit/instantsearch-client');
const { default: instantsearch } = await import('instantsearch.js/es/index.js');
const { configure, hits, pagination, refinementList, searchBox, sortBy, stats } = await import(
  'instantsearch.js/es/widgets/index.js'
);

const searchkit = new Searchkit({
  connection: { host: base },
  search_settings: {
    search_attributes: [{ field: 'title', weight: 3 }, { field: 'brand', weight: 2 }, 'description'],
    result_attributes: ['title', 'brand', 'price'],
    highlight_attributes: ['title'],
    facet_attributes: [
      { attribute: 'brand', field: 'brand.keyword', type: 'string' },
      { attribute: 'price', field: 'price', type: 'numeric' },
    ],
    sorting: {
      default: { field: '_score', order: 'desc' },
      _price_asc: { field: 'price', order: 'asc' },
    },
  },
});
const page = instantsearch({ indexName: 'products', searchClient: client(searchkit) });
page.addWidgets([
  configure({ hitsPerPage: 10 }),
  searchBox({ container: '#box' }),
  stats({ container: '#stats' }),
  sortBy({
    container: '#order',
    items: [
      { label: 'Best', value: 'products' },
      { label: 'Cheapest', value: 'products_price_asc' },
    ],
  }),
  refinementList({ container: '#brands', attribute: 'brand', searchable: true }),
  hits({
    container: '#hits',
    templates: {
      item: (hit, { html, components }) =>
        html`<a data-id=${hit.objectID} data-brand=${hit.brand}>${components.Highlight({ hit, attribute: 'title' })}</a>`,
    },
  }),
  pagination({ container: '#pages', scrollTo: false }),
]);

const all = (selector) => [...document.querySelectorAll(selector)];
const shown = () => ({
  ids: all('#hits a').map((hit) => hit.dataset.id),
  hitBrands: all('#hits a').map((hit) => hit.dataset.brand),
  marked: [...new Set(all('#hits mark').map((mark) => mark.textContent.toLowerCase()))].sort(),
  brands: Object.fromEntries(
    all('#brands li').map((item) => [
      item.querySelector('input').value,
      Number(item.querySelector('.ais-RefinementList-count').textContent),
    ]),
  ),
  found: Number((document.querySelector('#stats .ais-Stats-text')?.textContent ?? '0').match(/[\d,]+/)[0].replace(',', '')),
  statuses,
});

let failed = null;
page.on('error', ({ error }) => { failed = error; });
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Do something on the page and return what it shows once the answers, at least so many, are there. */
async function after(action, answers = 0) {
  statuses = [];
  action();
  do {
    await pause(20); // searches start, and widgets render, in tasks of their own
    if (failed) throw failed;
  } while (page.status !== 'idle' || statuses.length < answers);
  await pause(20);
  return shown();
}

const type = (selector, text) => {
  const input = document.querySelector(selector);
  input.value = text;
  input.dispatchEvent(new window.Event('input', { bubbles: true }));
};

const opened = await after(() => page.start());
const searched = {};
for (const query of queries) searched[query] = await after(() => type('#box input', query));
const [brand] = Object.keys(searched[queries.at(-1)].brands);
const brandSearch = (text, answers) => after(() => type('#brands input[type=search]', text), answers);
const brandsFound = await brandSearch(brand.slice(0, 2), 1);
await brandSearch('', 0);
const brandBox = () => document.querySelector(`#brands input[value="${brand}"]`);
const ticked = await after(() => brandBox().click());
const unticked = await after(() => brandBox().click());
const second = await after(() => document.querySelector('#pages a[aria-label="Page 2"]').click());
const cheapest = await after(() => {
  const order = document.querySelector('#order select');
  order.value = 'products_price_asc';
  order.dispatchEvent(new window.Event('change', { bubbles: true }));
});

process.stdout.write(
  JSON.stringify({ opened, searched, brand, brandsFound, ticked, unticked, second, cheapest, routes: [...routes] }),
);
page.dispose();
window.close();
