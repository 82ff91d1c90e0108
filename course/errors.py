"""学员自己能改好的错误：一句中文说清哪里不对、下一步敲什么命令"""


class CourseError(Exception):
    """学员能自己改好的错误，由 `course.cli.run` 打印成一句话，不显示 traceback

    参数 problem 说哪里不对，next_step 说下一步做什么（通常是一条命令）。
    """

    def __init__(self, problem: str, next_step: str):
        super().__init__(f"{problem}\n下一步：{next_step}")
        self.problem = problem
        self.next_step = next_step


class InputError(ValueError):
    """请求里的文字或参数不合要求，API 会回 422"""
