// Building the page. Whatever a catalogue holds gets in as text, never as markup.

/** Makes an element: properties, `aria-…`, `data-…` and other attributes, `on…` listeners; then its children. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [of, set] of Object.entries(value)) made.style.setProperty(of, set);
    else if (name in made && !name.includes("-") && name !== "list") made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...present(children));
  return made;
}

/** Children less those that a condition left out. */
const present = (children) => children.flat(2).filter((child) => child !== null && child !== undefined && child !== false && child !== "");

/** Puts children in the place of those that were there. */
export function fill(parent, ...children) {
  parent.replaceChildren(...present(children));
  return parent;
}

/** What stays at the top of a dialog: its title, and the way out. */
export function dialogHead(dialog, title, close) {
  return element("div", { className: "head" }, element("h2", { id: `${dialog.id}-title` }, title),
    element("button", { type: "button", className: "close", "aria-label": close, title: close, onclick: () => dialog.close() }, "×"));
}

export const byId = (id) => document.getElementById(id);

/** Text with what stands between MARK and END in it as <mark>; both are characters that no catalogue has. */
export const MARK = "\uE000", END = "\uE001";

export function marked(text) {
  return text.split(MARK).flatMap((part, i) => {
    if (i === 0) return [part.replaceAll(END, "")];
    const [inside, ...after] = part.split(END);
    return [element("mark", {}, inside), after.join("")];
  });
}

/** Says something to who doesn't see the page. */
export function say(text) {
  byId("said").textContent = text;
}
