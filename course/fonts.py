"""不是一课  图里的汉字：给 matplotlib 找一个认得中文的字体

demo02 的 10_pictures.py、backstage/ 里画曲线的和 docs/tools/draw_pictures.py 用。
"""

import importlib.util
from pathlib import Path

from course.errors import CourseError


def chinese_font() -> str:
    """让 matplotlib 认得中文，返回字体的名字；没有装 zhplot 时抛 CourseError

    matplotlib 自带的字体没有汉字，画出来是一个个空方框。PyPI 包 zhplot 带着一个
    Noto Sans SC（OFL 许可证），只借它的字体文件；import zhplot 会改全局设置，所以不 import。
    """
    from matplotlib import font_manager  # 画图时才要，别的时候不为它等

    spec = importlib.util.find_spec("zhplot")
    if spec is None:
        raise CourseError("没有装 zhplot，图里的汉字会变成方框", "python -m pip install zhplot")
    path = Path(spec.origin).parent / "fonts" / "NotoSansSC-Regular.ttf"
    font_manager.fontManager.addfont(path)
    return font_manager.FontProperties(fname=path).get_name()
