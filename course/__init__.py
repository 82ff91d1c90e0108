"""不是一课  两个 demo 共用的底座，找模型、备数据、读参数、报错、写文件，除此之外什么都没有"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  和 pyproject.toml 的 requires-python 一样
    sys.exit(
        f"\n出错了：这门课要 Python 3.11 以上，现在运行的是 {sys.version.split()[0]}"
        f"（{sys.executable}）\n下一步：装一个新的 Python，见 docs/03-environment.md"
    )
