"""Open a report in a real Chromium: no error, no request, nothing clipped, at desktop and phone width, light and dark.

python tests/browse_report.py REPORT.html [FOLDER for screenshots]
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

WIDTHS = {"desktop": 1280, "phone": 390}


def look(browser: Browser, page_file: Path, name: str, width: int, scheme: str, shots: Path | None) -> list[str]:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on(
        "request", lambda request: None if request.url.startswith(("file:", "data:")) else problems.append(request.url)
    )
    page.goto(page_file.resolve().as_uri())
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        problems.append(f"{name}: the page is {wide} pixels wide, the window {width}")
    if not page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)"):
        problems.append("an image does not show")
    if shots:
        page.screenshot(path=shots / f"{name}-{scheme}.png", full_page=True)
    page.close()
    return problems


def main() -> int:
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    shots = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        problems = [
            problem
            for name, width in WIDTHS.items()
            for scheme in ("light", "dark")
            for problem in look(browser, Path(sys.argv[1]), name, width, scheme, shots)
        ]
        print(f"{sys.argv[1]} in Chromium {browser.version}: " + ("; ".join(problems) or "as it should be"))
        browser.close()
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
